"""Starting an entry, and finding out what became of one whose starter is gone.

The starter holds the entry's lock. The run's id is in the entry before its job exists: an entry whose lock is
free is either waiting, or became that run. Where the starter died in between, the run has no job: it is ended
as lost, and the entry waits again.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from dataclasses import dataclass
from typing import Literal

from trainer import locks
from trainer.backends import registry
from trainer.errors import CheckFailed, DiskFull, EngineError, NoFreeSlot, TrackingError, TrainerError
from trainer.queue import entries, fate, needs, pinned
from trainer.queue.entries import Entry, Reason, Started
from trainer.queue.folder import EntryFolder
from trainer.runs import reconcile
from trainer.runs.launch import Reporter, launch
from trainer.subprocesses import deferred_signals
from trainer.tracking.client import Run
from trainer.workspace import run_folder
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)
_PASSES = (EngineError, TrackingError, CheckFailed, DiskFull)
"""What is not the entry's fault: an engine or a server that does not answer, a disk that is full."""


@dataclass(frozen=True)
class Attempt:
    """What came of trying to start an entry; `reason` says why it was not started."""

    kind: Literal["started", "no slot", "away", "held", "gone"]
    run: Run | None = None
    reason: Reason | None = None


def start(workspace: Workspace, entry: Entry, folder: EntryFolder, screen: Reporter) -> Attempt:
    """Start the entry's run, if there is a slot for it; the run goes on by itself.

    Raises `Interrupted` after a signal: then the entry waits again, if its job was not started.
    """
    lock = locks.acquire(folder.lock)
    if lock is None:
        return Attempt("gone")  # somebody removes it
    with lock:
        if not folder.record.exists():
            shutil.rmtree(folder.path, ignore_errors=True)  # asking for the lock may have made it again
            return Attempt("gone")
        if folder.started.exists():
            return Attempt("gone")
        try:
            run = _launch(workspace, entry, folder, screen)
        except NoFreeSlot as error:
            return _not_begun(workspace, entry, folder, error, "no slot")
        except TrainerError as error:
            is_away = isinstance(error, _PASSES) and not folder.started.exists()
            return _not_begun(workspace, entry, folder, error, "away" if is_away else "held")
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one entry, the others are started)
            _LOG.exception("Entry %s cannot be started", entry.id)
            said = TrainerError(f"{type(error).__name__}: {error}", "")
            return _not_begun(workspace, entry, folder, said, "held")
        except BaseException:
            with deferred_signals(drop=True), contextlib.suppress(TrainerError):
                _settle(workspace, entry, folder)
            raise
        entries.write(folder.started, Started(run.id, began=True))
        folder.waits.unlink(missing_ok=True)
        return Attempt("started", run)


def _launch(workspace: Workspace, entry: Entry, folder: EntryFolder, screen: Reporter) -> Run:
    plan, code = pinned.read(folder)
    backend = registry.named(entry.backend, workspace)
    backend.connect()
    backend.recall(plan.image, entry.image_id)
    backend.preflight(plan)  # a GPU that does not suit the image is not claimed
    slot = backend.claim(needs.need(entry), entry.image_id)
    try:
        return launch(
            workspace,
            plan,
            screen,
            tracking_uri=entry.tracking_uri,
            detach=True,
            offline=entry.offline,
            allowed=plan.asked.asks,  # when it was queued
            created=lambda run: entries.write(folder.started, Started(run.id)),
            slot=slot,
            code=code,
        ).run
    except BaseException:
        backend.release(slot)
        raise


def _not_begun(
    workspace: Workspace,
    entry: Entry,
    folder: EntryFolder,
    error: TrainerError,
    kind: Literal["no slot", "away", "held"],
) -> Attempt:
    """It went wrong. What a run was made of it is ended by now, unless its job was started all the same."""
    with contextlib.suppress(TrainerError):
        _settle(workspace, entry, folder)
    if folder.started.exists() or not folder.record.exists():
        return Attempt("gone")
    reason = Reason(error.message, error.hint)
    if kind == "held":
        entries.write(folder.held, reason)
    elif entries.waits(folder) != reason:
        entries.write(folder.waits, reason)
    return Attempt(kind, reason=reason)


def settle(workspace: Workspace, entry: Entry, folder: EntryFolder) -> None:
    """See what became of an entry that was started: it goes when its run has ended.

    One whose starter died before its run had a job waits again. Changes nothing where that cannot be told
    now, or while somebody starts it.
    """
    if not folder.started.exists():
        return
    lock = locks.acquire(folder.lock)
    if lock is None:
        return
    with lock, contextlib.suppress(TrainerError):
        if folder.record.exists():
            _settle(workspace, entry, folder)
        else:
            shutil.rmtree(folder.path, ignore_errors=True)


def _settle(workspace: Workspace, entry: Entry, folder: EntryFolder) -> None:
    started = entries.started(folder)
    if started is None:
        folder.started.unlink(missing_ok=True)
        return
    if not started.began and entry.offline and not run_folder.of(workspace, started.run_id).path.exists():
        folder.started.unlink()  # nobody has heard of that run
        return
    became = fate.of_run(workspace, started.run_id)
    if not started.began and became.had_no_job:
        _LOG.info("Entry %s waits again: its run %s had no job", entry.id, started.run_id)
        folder.started.unlink()
        entries.touch(workspace)
    elif became.is_over:
        entries.end(workspace, entry, folder, became.status, started.run_id)
    elif not started.began:
        entries.write(folder.started, Started(started.run_id, began=True))
        if not became.is_attended:
            reconcile.in_background(workspace, started.run_id)
