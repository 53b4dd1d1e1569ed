"""`trainer run … --queue`: its options, and what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from trainer.cli import consent, output
from trainer.cli.live.progress import Progress
from trainer.cli.queue.argument import complete_followed
from trainer.errors import InvalidInput
from trainer.plan.run_plan import RunPlan
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.queue.adding import Wish

F = TypeVar("F", bound=Callable[..., object])


def options(command: F) -> F:
    """Decorator: --queue, --priority and --after."""
    for option in reversed(
        [
            click.option("--queue", "is_queued", is_flag=True,
                         help="Run it when its turn comes and the machine has what it needs; return now."),
            click.option("--priority", type=click.IntRange(-1000, 1000), metavar="N",
                         help="In the queue, before those with a lower one. [default: 0]"),
            click.option("--after", multiple=True, metavar="RUN", shell_complete=complete_followed,
                         help="In the queue, begin when that run, or entry of the queue, has finished."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def wish(
    is_queued: bool, priority: int | None, after: tuple[str, ...], tracking_uri: str | None, offline: bool
) -> Wish | None:
    """What is said of the entry; None for a run that is not to be queued."""
    from trainer.queue.adding import Wish

    if not is_queued and (priority is not None or after):
        option = "--after" if after else "--priority"
        raise InvalidInput(
            f"{option} is for a run that waits for its turn.", f"Add --queue, or leave out {option}."
        )
    return Wish(priority or 0, after, tracking_uri, offline) if is_queued else None


def add(workspace: Workspace, plan: RunPlan, said: Wish, *, yes: bool, as_json: bool) -> None:
    """Queue the run, have it started when its turn comes, and say where it stands."""
    from trainer.queue import adding, listing, needs, work

    adding.check(workspace, plan, said)
    allowed = consent.allowed(workspace, plan, yes=yes)
    with Progress(sys.stderr.buffer if as_json else None) as progress:
        for remark in plan.remarks:
            progress.remark(remark)
        entry = adding.add(workspace, plan, said, progress, allowed)
    before = listing.before(workspace, entry)
    work.in_background(workspace)
    if as_json:
        output.as_json(
            {"entry": entry.id, "before": before, "project": entry.project, "priority": said.priority,
             "needs": {"gpus": entry.gpus, "cpus": entry.cpus, "memory": entry.memory},
             "after": [after.id for after in entry.after], "image_id": entry.image_id}
        )  # fmt: skip
        return
    waits = ", ".join(
        [
            *(f"after {after}" for after in entry.after),
            *([f"{before} before it"] if before else []),
            *(["the queue is paused"] if listing.is_paused(workspace) else []),
        ]
    )
    click.echo(
        f"Queued {entry.id}: {entry.name or entry.project}, {needs.words(entry)}{waits and f'; {waits}'}"
    )
    if sys.stdout.isatty():
        output.next_steps(["trainer queue", f"trainer queue cancel {entry.id}"])
