"""What became of the run of an entry, or of one that an entry is to begin after."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.backends.base import JobResult
from trainer.errors import InvalidInput, TrainerError
from trainer.runs import outcome, reconcile, resolve, server
from trainer.tracking import run_tags
from trainer.tracking.failures import NotThere
from trainer.workspace import run_folder, run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

RUNNING, FINISHED, GONE = "RUNNING", "FINISHED", "GONE"
_NEVER_BEGAN = ("stopped before it started", "could not be started", outcome.LOST)


@dataclass(frozen=True)
class Fate:
    """The status of a run, GONE where nobody has it any more."""

    status: str
    had_no_job: bool = False
    """Whether it ended without that a job of it was seen: its launcher died, or failed, before."""
    is_attended: bool = True
    """Whether a process sees to it that it ends truthfully."""
    is_delivered: bool = True
    """Of one that is over: whether nobody is still bringing its results to the server."""

    @property
    def is_over(self) -> bool:
        """Whether it goes on no more."""
        return self.status not in (RUNNING, "SCHEDULED")


def of_run(workspace: Workspace, run_id: str) -> Fate:
    """The run's. One whose launcher is gone is ended, if its job has ended.

    Raises `TrainerError` where the engine or the server has to be asked and does not answer.
    """
    folder = run_folder.of(workspace, run_id)
    had_no_job = False
    if run_folders.is_live(workspace, run_id):
        if run_folders.has_launcher(workspace, run_id):
            return Fate(RUNNING)
        end = reconcile.job_of(workspace, _record(workspace, run_id)).end()
        if end is None:
            return Fate(RUNNING, is_attended=False)
        had_no_job = end == JobResult(None) and run_folders.stopped_by(workspace, run_id) is None
        try:
            reconcile.settle_one(workspace, run_id)
        except TrainerError:
            if run_folders.ended(folder) is None:
                raise
    if folder.path.exists() and (status := run_folders.ended(folder)):
        return Fate(status, had_no_job, is_delivered=not run_folders.has_launcher(workspace, run_id))
    try:
        _, run = server.run_of(workspace, _record(workspace, run_id))
    except NotThere:
        return Fate(GONE, had_no_job=True)
    reason = run.tags.get(run_tags.END, "")
    return Fate(run.status, had_no_job or (run.status != FINISHED and reason in _NEVER_BEGAN))


def _record(workspace: Workspace, run_id: str) -> Record:
    known = [*run_folders.history(workspace), *run_folders.live(workspace)]
    for record in reversed(known):
        if run_id in (record.run_id, record.offline_id):
            return record
    try:
        return resolve.resolve(workspace, run_id)
    except InvalidInput as error:
        raise NotThere(error.message, error.hint) from None
