"""`trainer attach`: follow a run to its end."""

from __future__ import annotations

import sys

import click

from trainer import subprocesses
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.runs.argument import run_argument
from trainer.cli.runs.run import print_result
from trainer.workspace.settings import Workspace


@click.command(short_help="Follow a run to its end.", epilog=examples("trainer attach @last"))
@run_argument(live=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@pass_workspace
def attach(workspace: Workspace, said: str, as_json: bool) -> None:
    """Follow RUN to its end, with its metrics and exit code, as `trainer run` does. Ctrl-C leaves it running.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC.
    """
    from trainer.runs import attach as use_case
    from trainer.runs import resolve
    from trainer.runs.launch import Result
    from trainer.runs.launch.follow import show

    record = resolve.live(workspace, said)
    use_case.look_after(workspace, record)
    try:
        with subprocesses.awake(), Progress(sys.stderr.buffer if as_json else None) as progress:
            progress.step("Following")
            show(use_case.output(workspace, record, follow=True), progress)
        result = Result(*use_case.result(workspace, record))
    except KeyboardInterrupt:
        click.echo(
            f"Detached. {record.name} keeps running; stop it with: trainer stop {record.run_id[:8]}", err=True
        )
        return
    print_result(result, as_json)
    if result.error:
        raise result.error
