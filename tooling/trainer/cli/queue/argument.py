"""ENTRY, the argument of the commands on the queue, and its completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from trainer.errors import TrainerError
from trainer.workspace.settings import find

F = TypeVar("F", bound=Callable[..., object])


def entry_argument(*, several: bool = False, required: bool = True) -> Callable[[F], F]:
    """Decorator: the argument `said`, completed with the entries of the workspace that were not started."""
    return click.argument(
        "said",
        metavar="ENTRY…" if several else "ENTRY",
        nargs=-1 if several else 1,
        required=required,
        shell_complete=complete_entry,
    )


def complete_entry(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of an entry's id."""
    from trainer.queue import entries

    try:
        waiting = [entry for entry, folder in entries.all_entries(find()) if not folder.started.exists()]
    except TrainerError:
        return []
    return [
        CompletionItem(entry.id, help=entry.name or entry.project)
        for entry in sorted(waiting, key=lambda entry: entry.queued)
        if entry.id.startswith(incomplete)
    ]


def complete_followed(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completion of what an entry can begin after: another entry, or a run."""
    from trainer.cli.runs.completion import complete_run

    return [*complete_entry(ctx, parameter, incomplete), *complete_run(ctx, parameter, incomplete)]
