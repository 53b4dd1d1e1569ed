"""The commands that there are, each imported when it is called: help and completion pay for none."""

from __future__ import annotations

from importlib import import_module

import click

from trainer.cli.diagnostics import accepted


class Later(click.Command):
    """A command as it is listed. Its module is named like it, unless `module` says otherwise."""

    def __init__(self, name: str, short_help: str, module: str = "") -> None:
        super().__init__(name, short_help=short_help)
        self._variable = name.replace("-", "_")
        self._module = f"trainer.cli.{module or self._variable}"

    def load(self) -> click.Command:
        """The command itself."""
        command = getattr(import_module(self._module), self._variable)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._module}.{self._variable} is no command")
        return accepted(command)


class Commands(click.Group):
    """A group that knows its commands by name and short help until one is called."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(command) if command else None, rest


def loaded(command: click.Command) -> click.Command:
    """The command itself, where it is one that is only listed yet."""
    return command.load() if isinstance(command, Later) else command


ALL = (
    # What a user starts from.
    Later("init", "Make a workspace."),
    Later("new", "Make a project from a template or another project."),
    Later("secrets", "The secrets of the workspace: set them, check them."),
    Later("run", "Run a project.", "runs.run"),
    Later("build-image", "Build trainer images.", "images.commands"),
    Later("images", "List the trainer images and whether they are built.", "images.commands"),
    Later("data", "Datasets: folders with one folder of images per class.", "data.group"),
    Later("layers", "Show the blocks of a network, to choose what to unfreeze."),
    Later("server", "Tracking servers: your own, and those on a platform.", "server.group"),
    Later("ui", "Browse the runs in the MLflow UI.", "server.group"),
    Later("env", "Print the variables for MLflow's own commands."),
    Later("doctor", "Check the machine and say how to fix what is wrong."),
    Later("reconcile", "End the runs whose launcher is gone.", "runs.reconcile"),
    Later("sync", "Upload pending run data to the tracking server.", "runs.sync"),
    Later("completion", "Print the completion script for a shell."),
    # Runs that exist.
    Later("ps", "List the live runs.", "runs.ps"),
    Later("runs", "List the runs on the tracking server.", "runs.list"),
    Later("show", "Show everything of one run.", "runs.show"),
    Later("compare", "What differs between runs.", "runs.compare"),
    Later("reproduce", "Repeat a run and compare its metrics.", "runs.reproduce"),
    Later("logs", "Print the output of a run.", "runs.logs"),
    Later("attach", "Follow a run to its end.", "runs.attach"),
    Later("stop", "Stop live runs.", "runs.stop"),
    Later("resume", "Resume an interrupted run from its last checkpoint.", "runs.resume"),
    Later("gc", "Remove unused files, images and containers."),
)
