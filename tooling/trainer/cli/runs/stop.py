"""`trainer stop`: stop live runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.queue.next import start_next
from trainer.cli.runs.argument import run_argument
from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.sweeps.state import SweepFolder


@click.command(
    short_help="Stop live runs.", epilog=examples("trainer stop brave-hen-7", "trainer stop --all --dry-run")
)
@run_argument(live=True, several=True)
@click.option("--all", "every", is_flag=True, help="Every live run of this workspace on this machine.")
@click.option("--dry-run", is_flag=True, help="Show what would be stopped; stop nothing.")
@pass_workspace
def stop(workspace: Workspace, said: tuple[str, ...], every: bool, dry_run: bool) -> None:
    """Stop runs: SIGINT, then SIGKILL after 5 s; their status is KILLED then.

    The parent run of a sweep stops the sweep with its trials, as Ctrl-C in its terminal does; it can go on.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. A run that has ended
    already stays as it is.
    """
    from trainer.runs import resolve
    from trainer.runs import stop as use_case
    from trainer.sweeps import stopping
    from trainer.workspace import run_folders

    if every == bool(said):
        raise InvalidInput("Specify which runs to stop.", "trainer stop RUN…, or trainer stop --all")
    sweeps = {folder.parent_id: folder for folder in stopping.running(workspace)}
    named = [resolve.live(workspace, one) for one in said]
    start_next(workspace)
    for parent_id in sweeps if every else [one.run_id for one in named if one.run_id in sweeps]:
        _stop_sweep(sweeps[parent_id], dry_run=dry_run)
    chosen = [
        record
        for record in (run_folders.live(workspace) if every else named)
        if record.run_id not in sweeps and (record.is_here or not every)
    ]
    if every and not chosen and not sweeps:
        click.echo("No live runs.")
    failed: TrainerError | None = None
    for record in {record.run_id: record for record in chosen}.values():
        shown = f"{record.name or record.run_id} ({record.run_id[:8]})"
        try:
            if not use_case.check(workspace, record):
                click.echo(f"{shown} has ended already.")
            elif dry_run:
                click.echo(f"{shown} would be stopped.")
            else:
                is_told = use_case.stop(workspace, record)
                later = "" if is_told else " The tracking server does not know yet; later: trainer sync"
                click.echo(f"{shown} is stopped.{later}")
        except TrainerError as error:
            click.echo(f"{shown}: {error.message}", err=True)
            failed = error
    if failed:
        raise failed


def _stop_sweep(folder: SweepFolder, *, dry_run: bool) -> None:
    from trainer.sweeps import stopping

    shown = f"The sweep {folder.parent_id[:8]}"
    if dry_run:
        click.echo(f"{shown} would be stopped, with its trials.")
    elif stopping.stop(folder):
        click.echo(f"{shown} is stopped. It goes on with: trainer sweep --resume {folder.parent_id[:8]}")
    else:
        click.echo(f"{shown} is stopping its trials.", err=True)
