"""What earlier processes left of a sweep: its runs, as the tracking server and this disk have them."""

from __future__ import annotations

from dataclasses import replace

from trainer.runs import reconcile
from trainer.sweeps.opening import Opened
from trainer.tracking import delivery, run_tags, search
from trainer.tracking.client import Run
from trainer.tracking.endpoint import Server
from trainer.workspace import run_folder, run_folders


def children(sweep: Opened) -> list[Run]:
    """The runs of its trials, the oldest first. Those that have ended are told to the server first."""
    for _ in reconcile.reconcile(sweep.workspace):
        pass
    condition = f"tags.`{run_tags.PARENT_RUN}` = '{sweep.parent.id}'"
    found = search.newest(sweep.ready.client, sweep.parent.experiment_id, None, condition)
    return [_as_ended(sweep, run) for run in reversed(found)]


def _as_ended(sweep: Opened, run: Run) -> Run:
    """A run whose end the server could not be told yet, as it ended."""
    folder = run_folder.of(sweep.workspace, run.id)
    status = run_folders.ended(folder)
    if run.status != "RUNNING" or status is None:
        return run
    known = delivery.known_run(Server(sweep.ready.client.server.uri), folder)
    return replace(run, status=status, metrics=known.metrics)
