"""`trainer queue install`."""

from __future__ import annotations

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Write a systemd unit that works through the queue.",
    epilog=examples("trainer queue install --dry-run"),
)
@click.option("--dry-run", is_flag=True, help="Print the unit; write nothing.")
@pass_workspace
def install(workspace: Workspace, dry_run: bool) -> None:
    """Write a unit of systemd that runs `trainer queue work` for you, from your next login on.

    It is not needed for a queue to be worked through; it goes on with it after a restart of the machine.
    """
    from trainer.queue import service

    unit = service.unit(workspace)
    if dry_run:
        click.echo(unit.text, nl=False)
        return
    service.install(unit)
    click.echo(f"Written: {unit.path}")
    output.next_steps(unit.commands)
