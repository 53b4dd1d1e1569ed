"""RUN, the argument of every command on runs that exist, and arguments of the form NAME=VALUE."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import click

from trainer.cli.context import tracking_option
from trainer.cli.queue.waiting import hinted
from trainer.cli.runs.completion import complete_live_run, complete_run
from trainer.errors import InvalidInput

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

    def decorate(command: F) -> F:
        named = argument(hinted(command))
        return cast(F, named if live else tracking_option(named))

    return decorate


def pairs(_: click.Context, parameter: click.Parameter, values: Iterable[str]) -> dict[str, str]:
    """Callback of an option or argument that takes NAME=VALUE several times."""
    label = f"{parameter.opts[-1]} " if isinstance(parameter, click.Option) else ""
    mapping: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            form = (parameter.metavar or "NAME=VALUE").strip("[]…")
            hint = f"Write {label}{form} with no blank around =."
            raise InvalidInput(f"{label}{value or repr(value)} is not {form}.", hint)
        if name in mapping:
            raise InvalidInput(f"{label}{name} is given twice.", "Pass it once.")
        mapping[name] = text
    return mapping
