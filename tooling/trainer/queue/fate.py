"""What became of the run of an entry, or of one that an entry is to begin after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from trainkit.spool.view import View

from trainer.backends.base import JobResult
from trainer.errors import InvalidInput, TrainerError
from trainer.runs import outcome, reconcile, resolve, server
from trainer.tracking import delivery, run_tags
from trainer.tracking.failures import NotThere
from trainer.tracking.spool_guard import SoundSpool
from trainer.workspace import run_folder, run_folders
from trainer.workspace.run_folder import RunFolder
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
    if run_folders.is_live(workspace, run_id):
        if run_folders.has_launcher(workspace, run_id):
            return Fate(RUNNING)
        had_no_job = reconcile.job_of(workspace, _record(workspace, run_id)).end() == JobResult(None)
        try:
            finding = reconcile.settle_one(workspace, run_id)
        except TrainerError:
            finding = None
            if run_folders.ended(folder) is None:
                raise
        if run_folders.is_live(workspace, run_id):
            # Its job goes on; or somebody else looks after it just now.
            return Fate(RUNNING, is_attended=finding is None)
        if had_no_job and run_folders.stopped_by(workspace, run_id) is None:
            return Fate(finding.status if finding else run_folders.ended(folder) or "KILLED", had_no_job=True)
    if folder.path.exists() and (status := run_folders.ended(folder)):
        is_busy = run_folders.has_launcher(workspace, run_id)
        return Fate(status, _reason(folder, run_id) in _NEVER_BEGAN, is_delivered=not is_busy)
    try:
        _, run = server.run_of(workspace, _record(workspace, run_id))
    except NotThere:
        return Fate(GONE, had_no_job=True)
    return Fate(run.status, run.tags.get(run_tags.END) in _NEVER_BEGAN)


def _reason(folder: RunFolder, run_id: str) -> str:
    """Why it ended, of one that the server does not have all of."""
    run = View(SoundSpool(folder.spool)).run(run_id) if delivery.exists(folder) else None
    if run is None:
        return ""
    tags = cast(list[Mapping[str, str]], cast(Mapping[str, object], run["data"]).get("tags", []))
    return {tag["key"]: tag["value"] for tag in tags}.get(run_tags.END, "")


def _record(workspace: Workspace, run_id: str) -> Record:
    known = [*run_folders.history(workspace), *run_folders.live(workspace)]
    for record in reversed(known):
        if run_id in (record.run_id, record.offline_id):
            return record
    try:
        return resolve.resolve(workspace, run_id)
    except InvalidInput as error:
        raise NotThere(error.message, error.hint) from None
