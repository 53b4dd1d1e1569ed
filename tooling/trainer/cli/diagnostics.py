"""-v and --debug: what trainer shows of its own work. They stand before the command or after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from trainer.cli.context import CommandContext

if TYPE_CHECKING:
    import logging


class Diagnostics:
    """What was asked for in this call of trainer: the object that click hands from context to context."""

    def __init__(self) -> None:
        self.is_debugging = False
        self.verbosity = 0
        """How many -v there are."""
        self._handler: logging.Handler | None = None

    def log(self, more: int) -> None:
        """Show the log on stderr from now on, in as much detail as all -v together ask for."""
        if not more:
            return
        import logging

        from trainer import logs
        from trainer.cli.output import tell
        from trainer.workspace import secrets

        self.verbosity += more
        level = logging.INFO if self.verbosity == 1 else logging.DEBUG
        self.close()
        self._handler = logs.Lines(level, secrets.hide, tell)
        logs.attach(self._handler)

    def close(self) -> None:
        """Show no more of it."""
        if self._handler:
            from trainer import logs

            logs.detach(self._handler)
            self._handler = None


def are_shown() -> bool:
    """Whether the log of the command that runs is shown on stderr."""
    context = click.get_current_context(silent=True)
    found = context and context.find_object(Diagnostics)
    return bool(found and found.verbosity)


class DiagnosticOption(click.Option):
    """An option of all commands, which gives way to a parameter of a project that has its name."""


def options(*, hidden: bool) -> list[click.Option]:
    """Both options; in the help of `trainer` itself alone, so that the help of commands stays theirs."""
    return [
        DiagnosticOption(
            ["-v", "--verbose"], count=True, expose_value=False, callback=_log, hidden=hidden,
            help="Log decisions, requests and engine calls to stderr; with -vv, programs too.",
        ),
        DiagnosticOption(
            ["--debug"], is_flag=True, expose_value=False, callback=_debug, hidden=hidden,
            help="Show where in trainer a failure comes from.",
        ),
    ]  # fmt: skip


def accepted(command: click.Command) -> click.Command:
    """The command, which takes both options and is named when it is misused, as are the commands below it."""
    command.context_class = CommandContext
    if not any(isinstance(parameter, DiagnosticOption) for parameter in command.params):
        command.params += options(hidden=True)
        for below in _below(command):
            accepted(below)
    return command


def _below(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        yield from command.commands.values()


def _log(context: click.Context, _: click.Parameter, more: int) -> None:
    if not context.resilient_parsing:
        context.ensure_object(Diagnostics).log(more)


def _debug(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    context.ensure_object(Diagnostics).is_debugging |= is_asked
