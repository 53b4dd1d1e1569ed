"""`trainer stop`: stop live runs."""

from __future__ import annotations

import click

from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.queue.next import start_next
from trainer.cli.runs.argument import run_argument
from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Stop live runs.", epilog=examples("trainer stop brave-hen-7", "trainer stop --all --dry-run")
)
@run_argument(live=True, several=True)
@click.option("--all", "every", is_flag=True, help="Every live run of this workspace on this machine.")
@click.option("--dry-run", is_flag=True, help="Show what would be stopped; stop nothing.")
@pass_workspace
def stop(workspace: Workspace, said: tuple[str, ...], every: bool, dry_run: bool) -> None:
    """Stop runs: SIGINT, then SIGKILL after 5 s; their status is KILLED then.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. A run that has ended
    already stays as it is.
    """
    from trainer.runs import resolve
    from trainer.runs import stop as use_case
    from trainer.workspace import run_folders

    if every == bool(said):
        raise InvalidInput("Specify which runs to stop.", "trainer stop RUN…, or trainer stop --all")
    chosen = (
        [record for record in run_folders.live(workspace) if record.is_here]
        if every
        else [resolve.live(workspace, one) for one in said]
    )
    if not chosen:
        click.echo("No live runs.")
    start_next(workspace)
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
