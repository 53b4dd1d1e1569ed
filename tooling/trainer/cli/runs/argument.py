"""RUN, the argument of every command on runs that exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from trainer.cli.context import tracking_option
from trainer.cli.runs.completion import complete_live_run, complete_run

F = TypeVar("F", bound=Callable[..., object])


def run_argument(*, live: bool = False, several: bool = False, required: bool = False) -> Callable[[F], F]:
    """Decorator: the argument `said`, completed with the runs of the workspace, or its live ones.

    Others than live ones may be on any server: --tracking-uri. `required`: of `several`, one at least.
    """

    argument = click.argument(
        "said",
        metavar="RUN…" if several else "RUN",
        nargs=-1 if several else 1,
        required=required or not several,
        shell_complete=complete_live_run if live else complete_run,
    )
    return argument if live else lambda command: argument(tracking_option(command))
