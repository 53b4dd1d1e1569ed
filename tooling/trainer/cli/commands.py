"""The commands that there are, each imported when it is called: help and completion pay for none.

And the kinds of groups they are in.
"""

from __future__ import annotations

from importlib import import_module

import click
from click.exceptions import NoSuchCommand
from click.shell_completion import CompletionItem

from trainer.cli.diagnostics import accepted

# Where `ctx.meta` has the context of a group whose default command is called without being named.
_IMPLIED = "trainer.implied"
_NEAR = 0.7
"""How alike a word and a command's name are, as difflib counts, where that is what was meant."""


class LazyCommand(click.Command):
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


class DefaultCommandGroup(click.Group):
    """A group whose command `list` is what it does by itself: `trainer runs` is `trainer runs list`."""

    default_name = "list"

    @property
    def default(self) -> click.Command:
        """The command that is called where none is named."""
        return self.commands[self.default_name]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Have the default take what does not name a command."""
        names_command = bool(args) and args[0] in {*self.commands, *ctx.help_option_names}
        # A word can be an argument of the default's only where that has one; else it is a command misspelt.
        is_misspelt = bool(args) and not args[0].startswith("-") and not self._arguments
        is_completed = ctx.resilient_parsing and not args  # a command may still be named
        if names_command or is_misspelt or is_completed:
            return super().parse_args(ctx, args)
        ctx.meta[_IMPLIED] = ctx
        is_refused = bool(args) and not ctx.resilient_parsing and not self._takes(ctx, args)
        if is_refused and (error := misspelt(ctx, args[0])):
            raise error
        return super().parse_args(ctx, [self.default.name or "", *args])

    def _takes(self, ctx: click.Context, args: list[str]) -> bool:
        """Whether the default knows the options, and takes as many arguments."""
        parser = self.default.make_parser(click.Context(self.default, ctx))
        try:
            _, left_over, _ = parser.parse_args(list(args))
        except click.UsageError:
            return False
        return not left_over

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of the default, then the commands."""
        self.default.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """For completion, the options of the default too."""
        options = [param for param in self.default.params if isinstance(param, click.Option)]
        return [*(options if ctx.resilient_parsing else ()), *super().get_params(ctx)]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What the argument of the default may be, and the commands."""
        commands = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            return commands
        first = self._arguments[:1]
        return [*(item for each in first for item in each.shell_complete(ctx, incomplete)), *commands]

    @property
    def _arguments(self) -> list[click.Argument]:
        return [param for param in self.default.params if isinstance(param, click.Argument)]


def misspelt(ctx: click.Context, word: str) -> NoSuchCommand | None:
    """The error for an argument of a default command where the group has one of about that name.

    None where the default was named, as in `trainer runs list delet`, or there is no such command.
    """
    from difflib import get_close_matches

    from trainer.cli.other_names import ours

    group: click.Context | None = ctx.meta.get(_IMPLIED)
    if group is None or not isinstance(group.command, click.Group):
        return None
    if ours(group.command_path, word):
        return NoSuchCommand(word, ctx=group)
    names = group.command.commands
    if get_close_matches(word, names, cutoff=_NEAR):
        return NoSuchCommand(word, possibilities=names, ctx=group)
    return None


def typed_path(ctx: click.Context) -> str:
    """The command as it was typed: without the default of a group, which nobody has to know the name of."""
    group: click.Context | None = ctx.meta.get(_IMPLIED)
    return group.command_path if group is not None and ctx.parent is group else ctx.command_path


def loaded(command: click.Command) -> click.Command:
    """The command itself, where it is one that is only listed yet."""
    return command.load() if isinstance(command, LazyCommand) else command


ALL = (
    # What a user starts from.
    LazyCommand("init", "Create a workspace."),
    LazyCommand("new", "Create a project from a template, another project, or a run."),
    LazyCommand("secrets", "Manage the secrets of the workspace."),
    LazyCommand("run", "Run a project.", "runs.run"),
    LazyCommand("sweep", "Search the parameters of a project.", "sweep.group"),
    LazyCommand("build-image", "Build trainer images.", "images.commands"),
    LazyCommand("images", "List the trainer images, and create new ones.", "images.group"),
    LazyCommand("data", "Manage datasets: image folders and tables.", "data.group"),
    LazyCommand("serve", "Serve a model over HTTP.", "serve.group"),
    LazyCommand("layers", "Show the layers of a network, or of the model of a project."),
    LazyCommand("server", "Manage the tracking server.", "server.group"),
    LazyCommand("ui", "Browse the runs in the MLflow UI.", "server.group"),
    LazyCommand("env", "Print the variables for MLflow's own commands."),
    LazyCommand("doctor", "Check the machine and suggest fixes."),
    LazyCommand("reconcile", "End runs whose launcher no longer exists.", "runs.reconcile"),
    LazyCommand("sync", "Upload pending run data to the tracking server.", "runs.sync"),
    LazyCommand("completion", "Print the completion script for a shell."),
    # Runs that exist.
    LazyCommand("ps", "List the live runs.", "runs.ps"),
    LazyCommand("top", "Show what the live runs use of the machine.", "runs.top"),
    LazyCommand("queue", "Manage the runs that wait for their turn.", "queue.group"),
    LazyCommand("runs", "List the runs on the tracking server.", "runs.runs.group"),
    LazyCommand("show", "Show the details of a run.", "runs.show"),
    LazyCommand("compare", "Compare runs.", "runs.compare"),
    LazyCommand("open", "Open a run in the MLflow UI.", "runs.open"),
    LazyCommand("download", "Download the artifacts of a run.", "runs.download"),
    LazyCommand("reproduce", "Repeat a run and compare its metrics.", "runs.reproduce"),
    LazyCommand("shell", "Open a shell in the container that a run would have.", "runs.shell"),
    LazyCommand("logs", "Print the output of a run.", "runs.logs"),
    LazyCommand("attach", "Follow a run to its end.", "runs.attach"),
    LazyCommand("stop", "Stop live runs.", "runs.stop"),
    LazyCommand("resume", "Resume an interrupted run from its last checkpoint.", "runs.resume"),
    LazyCommand("models", "Manage registered models.", "models.group"),
    LazyCommand("predictions", "List, export and label what served models predicted.", "predictions.group"),
    LazyCommand("predict", "Predict images or rows with a model.", "predict.command"),
    LazyCommand("gc", "Remove unused files, images and containers."),
)
