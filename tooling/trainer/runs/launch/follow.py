"""From a run's first line of output to its end: shown, judged, and delivered to the tracking server."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass

from trainer.backends.base import End, Job
from trainer.background import Meanwhile
from trainer.errors import Interrupted, TrackingError, TrainerError
from trainer.runs import outcome, server
from trainer.runs.launch.begin import Begun
from trainer.runs.launch.prepare import Ready
from trainer.runs.launch.screen import Screen
from trainer.subprocesses import deferred_signals
from trainer.tracking import delivery
from trainer.tracking.client import Run
from trainer.tracking.delivery import Notebook, Undelivered
from trainer.workspace import refusals, run_folders

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """A run that was launched.

    `error`: how it failed, or what of it the server refused for good. `undelivered`: what the server does not
    have yet.
    """

    run: Run
    exit_code: int | None
    error: TrainerError | None = None
    undelivered: Undelivered | None = None


def to_the_end(ready: Ready, begun: Begun, job: Job, screen: Screen) -> Result:
    """Show the job's output and end its run. Raises `Interrupted` when a signal has stopped the job."""
    interrupted: Interrupted | None = None
    try:
        screen.started(begun.run)
        for piece in job.follow():
            screen.output(ready.masker.feed(piece))
        screen.output(ready.masker.flush())
    except Interrupted as asked:
        interrupted = asked
    with deferred_signals(drop=True):
        if interrupted:
            screen.step("Stopping the run")
            job.stop()
        seen = job.end() or End(None)
        by = run_folders.stopped_by(ready.workspace, begun.run.id)
        verdict = outcome.judge(begun.run.id, seen, interrupted.number if interrupted else None, by)
        book, keep = Notebook(begun.folder), ready.plan.tracking.keep_files
        _LOG.info("Run %s ended: %s, %s", begun.run.id, verdict.status, verdict.reason)
        left = outcome.close(book, begun.run, job, begun.folder, ready.masker, verdict, keep_files=keep)
        removal = Meanwhile(job.remove)
    run = delivery.known_run(ready.client.server, begun.folder)
    if left:
        screen.remark(left.remark)
    # All of it is on this disk: a signal may come now.
    try:
        undelivered = _deliver(ready, begun, removal)
    finally:
        with deferred_signals(drop=True):
            removal.result()
    if undelivered:
        screen.remark(f"{undelivered.message}\n{undelivered.hint}")
    elif not ready.plan.image.has_trainkit:
        with contextlib.suppress(TrackingError):
            run = ready.client.get_run(run.id)  # its metrics went past the spool
    kept = refusals.of_run(ready.workspace, begun.run.id)
    if kept and (interrupted or verdict.error):
        screen.remark(f"{kept.error.message}\n{kept.error.hint}")
    if interrupted:
        raise interrupted
    return Result(run, verdict.exit_code, verdict.error or (kept.error if kept else None), undelivered)


def _deliver(ready: Ready, begun: Begun, removal: Meanwhile[None]) -> Undelivered | None:
    if ready.offline:
        return Undelivered(delivery.left(begun.folder), "no tracking server was asked (--offline).")
    try:
        delivery.bring(ready.client, begun.folder)
    except Undelivered as problem:
        client = server.changed(ready.workspace, begun.record, ready.client.server)
        if client is None:
            return problem
        try:
            delivery.bring(client, begun.folder)
        except Undelivered as still:
            return still
    removal.result()
    run_folders.remove(ready.workspace, begun.run.id)
    return None
