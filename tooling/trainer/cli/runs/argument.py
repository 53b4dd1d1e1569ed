"""RUN, the argument of every command on runs that exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from trainer.cli.context import tracking_option
from trainer.errors import TrainerError
from trainer.runs import resolve
from trainer.workspace.settings import find

F = TypeVar("F", bound=Callable[..., object])


def run_argument(*, live: bool = False, several: bool = False, required: bool = False) -> Callable[[F], F]:
    """Decorator: the argument `said`, completed with the runs of the workspace, or its live ones.

    Others than live ones may be on any server: --tracking-uri. One is always required, several if so said.
    """

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return [
                CompletionItem(name, help=text)
                for name, text in resolve.candidates(find(), incomplete, live=live)
            ]
        except TrainerError:
            return []

    argument = click.argument(
        "said",
        metavar="RUN…" if several else "RUN",
        nargs=-1 if several else 1,
        required=required or not several,
        shell_complete=complete,
    )
    return argument if live else lambda command: argument(tracking_option(command))
