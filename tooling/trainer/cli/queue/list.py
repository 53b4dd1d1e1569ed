"""`trainer queue list`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from trainer.cli import figures, output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.queue.listing import Listed


@click.command(
    "list",
    short_help="List what waits and why.",
    epilog=examples("trainer queue", "trainer queue list --json"),
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def list_(workspace: Workspace, as_json: bool) -> None:
    """List the entries of the queue: those that run, those that wait in their order, those that are held.

    A held one is not started before `trainer queue resume ENTRY`.
    """
    from trainer.queue import changing, entries, listing, work

    changing.settle(workspace)
    work.in_background(workspace)
    listed = listing.listed(workspace)
    damaged = entries.unreadable(workspace)
    for folder in damaged:
        name = folder.path.name
        output.tell(
            f"The entry {name} is damaged, or of a newer version of trainer: it is never started here. "
            f"To remove it: trainer queue cancel {name}"
        )
    if as_json:
        output.as_json([_plain(each) for each in listed])
        return
    if listing.is_paused(workspace):
        output.tell("The queue is paused: nothing is started before `trainer queue resume`.")
    if not listed:
        if not damaged:
            click.echo("Nothing is queued.")
        return
    now = time.time()
    output.table(
        ("", "ENTRY", "RUN", "PROJECT", "STATE", "NEEDS", "PRIORITY", "AGE"),
        [
            (str(each.position or ""), each.entry.id, each.entry.name, each.entry.project, _state(each),
             _needs(each), str(each.place.priority), figures.ago(now - each.entry.queued))
            for each in listed
        ],
        least=5,
    )  # fmt: skip
    for each in listed:
        if each.state == "held" and each.hint:
            output.tell(f"{each.entry.id}: {each.hint}")


def _needs(each: Listed) -> str:
    from trainer.queue import needs

    return needs.words(each.entry)


def _state(each: Listed) -> str:
    if each.state in ("running", "starting"):
        return f"{each.state}: {each.run_id[:8]}" if each.run_id else each.state
    return f"{each.state}: {each.why}" if each.why else each.state


def _plain(each: Listed) -> dict[str, object]:
    entry = each.entry
    return {
        "entry": entry.id,
        "position": each.position,
        "project": entry.project,
        "run_name": entry.name or None,
        "state": each.state,
        "why": each.why or None,
        "run_id": each.run_id or None,
        "priority": each.place.priority,
        "needs": {"gpus": entry.gpus, "cpus": entry.cpus, "memory": entry.memory},
        "after": [after.id for after in entry.after],
        "backend": entry.backend,
        "image": entry.image,
        "queued": round(entry.queued, 3),
        "host": entry.host,
    }
