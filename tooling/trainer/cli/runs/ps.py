"""`trainer ps`: the live runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from trainer.cli import figures, output
from trainer.cli.context import pass_workspace
from trainer.errors import EngineError
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.runs.live import Live


@click.command(short_help="List the live runs.", epilog="Example: trainer ps --json")
@click.option("--all", "of_all", is_flag=True, help="Also runs of other workspaces that use the engine.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def ps(workspace: Workspace, of_all: bool, as_json: bool) -> None:
    """List live runs: those that are running, and those whose end is not yet on the server.

    CPUS is the mean since the start of the run: 1.0 is one core. Neither an engine nor a server that does not
    answer keeps this command waiting for long. Where the engine of a run does not answer, the run's state is
    unknown, and that is the command's error after the list. Where no run is live, an engine that does not
    answer is only mentioned.
    """
    from trainer.engine import context
    from trainer.runs import live, reconcile

    for line in reconcile.quickly(workspace):
        click.echo(line, err=True)
    found, error = live.runs(workspace, of_all=of_all)
    _show(found, as_json)
    if error:
        raise error
    if not found:
        try:
            context.check_local()
        except EngineError as silent:  # no run of it is recorded here, so that the list is right all the same
            click.echo(silent.message, err=True)


def _show(found: Sequence[Live], as_json: bool) -> None:
    if as_json:
        output.as_json(
            [
                {"run_id": one.record.run_id, "name": one.record.name, "project": one.record.project,
                 "backend": one.record.backend, "state": one.state, "started": round(one.record.started, 3),
                 "image": one.record.image, "memory_bytes": one.memory,
                 "cpus": None if one.cpus is None else round(one.cpus, 2),
                 "host": one.record.host, "looked_after_by": one.looked_after}
                for one in found
            ]
        )  # fmt: skip
        return
    if not found:
        click.echo("No live runs.")
        return
    output.table(
        ("RUN", "ID", "PROJECT", "STATE", "SINCE", "IMAGE", "LOOKED AFTER BY", "MEMORY", "CPUS"),
        [
            (one.record.name, one.record.run_id[:8], one.record.project, one.state,
             figures.ago(time.time() - one.record.started), one.record.image.removeprefix("trainer/"),
             one.looked_after,
             "" if one.memory is None else f"{one.memory / 1e6:.0f} MB",
             "" if one.cpus is None else f"{one.cpus:.1f}")
            for one in found
        ],
        numbers=2,
        least=5,
    )  # fmt: skip
