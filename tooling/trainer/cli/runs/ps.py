"""`trainer ps`: the live runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from trainer.cli import figures, output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.queue.next import start_next
from trainer.errors import EngineError
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.runs.live import LiveRun


@click.command(short_help="List the live runs.", epilog=examples("trainer ps --json"))
@click.option("--all", "of_all", is_flag=True, help="Also runs of other workspaces that use the engine.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def ps(workspace: Workspace, of_all: bool, as_json: bool) -> None:
    """List live runs: running, or ended but not yet reported to the tracking server.

    CPUS is the average number of cores in use since the run started. The state is `unknown` while the engine
    of a run does not answer.
    """
    from trainer.engine import context
    from trainer.queue import listing
    from trainer.runs import live, reconcile
    from trainer.sweeps import cut_off

    start_next(workspace)
    for line in reconcile.quickly(workspace):
        click.echo(line, err=True)
    live_runs, error = live.runs(workspace, of_all=of_all)
    _show(live_runs, as_json)
    for sweep in cut_off.find(workspace):
        output.tell(sweep.text)
    if waiting := listing.count(workspace):
        output.tell(f"{waiting} more {'waits' if waiting == 1 else 'wait'} in the queue: trainer queue")
    if error:
        raise error
    if not live_runs:
        try:
            context.check_local()
        except EngineError as silent:  # no run of it is recorded here, so that the list is right all the same
            click.echo(silent.message, err=True)


def _show(live_runs: Sequence[LiveRun], as_json: bool) -> None:
    if as_json:
        output.as_json(
            [
                {"run_id": run.record.run_id, "name": run.record.name, "project": run.record.project,
                 "backend": run.record.backend, "state": run.state, "started": round(run.record.started, 3),
                 "image": run.record.image, "memory_bytes": run.memory,
                 "cpus": None if run.cpus is None else round(run.cpus, 2),
                 "host": run.record.host, "launcher": run.launcher}
                for run in live_runs
            ]
        )  # fmt: skip
        return
    if not live_runs:
        click.echo("No live runs.")
        return
    output.table(
        ("RUN", "ID", "PROJECT", "STATE", "SINCE", "IMAGE", "LAUNCHER", "MEMORY", "CPUS"),
        [
            (run.record.name, run.record.run_id[:8], run.record.project, run.state,
             figures.ago(time.time() - run.record.started), run.record.image.removeprefix("trainer/"),
             run.launcher,
             "" if run.memory is None else f"{run.memory / 1e6:.0f} MB",
             "" if run.cpus is None else f"{run.cpus:.1f}")
            for run in live_runs
        ],
        numbers=2,
        least=5,
    )  # fmt: skip
