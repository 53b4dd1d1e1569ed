"""`trainer queue cancel`, `pause`, `resume` and `move`."""

from __future__ import annotations

import click

from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.queue.argument import entry_argument
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace


@click.command(short_help="Take entries out of the queue.", epilog=examples("trainer queue cancel 3f9a 81c0"))
@entry_argument(several=True)
@pass_workspace
def cancel(workspace: Workspace, said: tuple[str, ...]) -> None:
    """Take entries out of the queue that were not started: nothing of them is left.

    ENTRY is the beginning of its id, or the name that its run is to have. One that has begun is
    stopped with `trainer stop`.
    """
    from trainer.queue import changing, work

    for cancelled in changing.cancel(workspace, said):
        click.echo(f"{cancelled.id} {'was cancelled already' if cancelled.was_gone else 'is cancelled'}.")
    work.in_background(workspace)


@click.command(
    short_help="Start nothing for now.", epilog=examples("trainer queue pause", "trainer queue pause 3f9a")
)
@entry_argument(several=True, required=False)
@pass_workspace
def pause(workspace: Workspace, said: tuple[str, ...]) -> None:
    """Start none of these entries until they are resumed; without ENTRY, nothing of the queue.

    What runs goes on.
    """
    from trainer.queue import changing

    paused = changing.pause(workspace, said)
    for entry in paused:
        click.echo(f"{entry.id} is paused.")
    if not said:
        click.echo("The queue is paused. What runs goes on.")


@click.command(
    short_help="Go on with the queue, or with held entries.",
    epilog=examples("trainer queue resume", "trainer queue resume 3f9a"),
)
@entry_argument(several=True, required=False)
@pass_workspace
def resume(workspace: Workspace, said: tuple[str, ...]) -> None:
    """Go on with the queue after `trainer queue pause`.

    With ENTRY, release entries that were paused, could not be started, or follow a run that did not finish:
    they wait for their turn again.
    """
    from trainer.queue import changing, work

    for entry in changing.resume(workspace, said):
        click.echo(f"{entry.id} waits for its turn.")
    if not said:
        click.echo("The queue goes on.")
    work.in_background(workspace)


@click.command(
    short_help="Change where an entry stands.",
    epilog=examples("trainer queue move 3f9a --first", "trainer queue move 3f9a --priority 10"),
)
@entry_argument()
@click.option("--first", "to_front", is_flag=True, help="Before all others.")
@click.option("--last", "to_end", is_flag=True, help="Behind all others.")
@click.option("--priority", type=click.IntRange(-1000, 1000), metavar="N",
              help="In another priority, with its age there.")  # fmt: skip
@pass_workspace
def move(workspace: Workspace, said: str, to_front: bool, to_end: bool, priority: int | None) -> None:
    """Move an entry in the queue: --first, --last, or to another --priority."""
    from trainer.queue import changing, work

    if to_front + to_end + (priority is not None) != 1:
        raise InvalidInput("Specify where the entry is to stand.", "One of --first, --last and --priority N.")
    entry = changing.move(workspace, said, to_front=to_front, to_end=to_end, priority=priority)
    where = "first" if to_front else "last" if to_end else f"in the priority {priority}"
    click.echo(f"{entry.id} is {where} now.")
    work.in_background(workspace)
