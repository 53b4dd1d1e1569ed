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
    for path in entries.unreadable(workspace):
        output.tell(f"The entry in {path} is damaged, or of a newer version of trainer. It is left as it is.")
    if as_json:
        output.as_json([_plain(each) for each in listed])
        return
    if listing.is_paused(workspace):
        output.tell("The queue is paused: nothing is started before `trainer queue resume`.")
    if not listed:
        click.echo("Nothing is queued.")
        return
    now = time.time()
    output.table(
        ("", "ENTRY", "PROJECT", "NEEDS", "PRIORITY", "STATE", "AGE"),
        [
            (str(each.position or ""), each.entry.id, each.entry.name or each.entry.project, _needs(each),
             str(each.place.priority), _state(each), figures.ago(now - each.entry.queued))
            for each in listed
        ],
        least=6,
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
