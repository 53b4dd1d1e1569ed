"""`trainer resume`: let a run that was cut off go on."""

from __future__ import annotations

import sys

import click

from trainer.cli import consent
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.queue.next import start_next
from trainer.cli.runs.argument import run_argument
from trainer.cli.runs.run import print_result
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Resume an interrupted run from its last checkpoint.", epilog=examples("trainer resume @last")
)
@run_argument()
@click.option(
    "--from-scratch", is_flag=True, help="Start from the beginning, in the same run, if it has no checkpoint."
)
@click.option("--detach", is_flag=True, help="Return when the run has started.")
@click.option("--yes", is_flag=True, help=consent.YES)
@click.option("--dry-run", is_flag=True, help="Show what it would resume from; start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@pass_workspace
def resume(
    workspace: Workspace, said: str, from_scratch: bool, detach: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Continue RUN from its last checkpoint, as the same run: after a kill, an out-of-memory error, a reboot.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. It gets the code, the image
    and the parameters that it had; what is not available is reported before anything starts.
    """
    from trainer.runs import resolve
    from trainer.runs import resume as use_case

    record = resolve.resolve(workspace, said)
    with (
        Progress(sys.stderr.buffer if as_json else None) as progress,
        use_case.prepared(workspace, record, progress, from_scratch=from_scratch) as ready,
    ):
        if dry_run:
            start = "its last checkpoint" if ready.from_checkpoint else "the beginning"
            progress.stop()
            click.echo(f"{ready.earlier.run.name} would resume from {start}, in {ready.plan.image.tag}.")
            return
        progress.stop()
        allowed = consent.allowed(workspace, ready.plan, yes=yes)
        start_next(workspace)
        result = use_case.resume(workspace, ready, progress, detach=detach, allowed=allowed)
    print_result(result, as_json)
    if result.error:
        raise result.error
