"""Stopping live runs: SIGINT, SIGKILL after the grace period, and KILLED on the server."""

from __future__ import annotations

import time

from trainer.backends.base import JobResult
from trainer.errors import InvalidInput
from trainer.runs import outcome, reconcile, server
from trainer.workspace import run_folder, run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

BY = "trainer stop"
# Whoever looks after the run sees its end at once, and has its log to store.
_OTHERS_S = 5


def check(workspace: Workspace, record: Record) -> bool:
    """Whether there is something to stop; raises `InvalidInput` for a run that another machine has."""
    if not run_folders.is_live(workspace, record.run_id):
        return False
    if not record.is_here:
        raise InvalidInput(
            f"The run {record.name} is on {record.host}, not on this machine.", "Stop it there."
        )
    return True


def stop(workspace: Workspace, record: Record) -> bool:
    """Stop a live run, and return whether the server knows. A run that has ended meanwhile keeps its end.

    Who looks after the run tells the server; what it cannot be told now, `trainer sync` brings.

    Raises `EngineError` where the run cannot be reached, and `TrackingError` where it was stopped and the
    server could not be told: then `trainer reconcile` does it.
    """
    job = reconcile.job_of(workspace, record)
    if job.end() is None:
        run_folders.ask_to_stop(workspace, record.run_id, BY)
        job.stop()
    deadline = time.monotonic() + _OTHERS_S
    while run_folders.is_live(workspace, record.run_id):
        if reconcile.settle_one(workspace, record.run_id):
            return True
        if time.monotonic() > deadline:
            # It is busy or hangs; the status is told here, the log comes when it goes on.
            client = server.client_of(workspace, record)
            verdict = outcome.judge(record.run_id, job.end() or JobResult(None), by=BY)
            client.set_tags(record.run_id, verdict.tags)
            client.end_run(record.run_id, verdict.status)
            return True
        time.sleep(0.1)
    folder = run_folder.of(workspace, record.run_id)
    while run_folders.has_launcher(workspace, record.run_id) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not folder.path.exists()
