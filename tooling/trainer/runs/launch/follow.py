"""From a run's first line of output to its end: shown, judged, and delivered to the tracking server."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from trainer import concurrency
from trainer.backends.base import Job, JobResult
from trainer.backends.job_output import JobOutput
from trainer.errors import Interrupted, TrackingError, TrainerError
from trainer.runs import outcome, server, ui
from trainer.runs.launch.begin import LaunchedRun
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.runs.launch.screen import Reporter
from trainer.subprocesses import deferred_signals, kept_interruptions
from trainer.tracking import delivery
from trainer.tracking.client import Run
from trainer.tracking.delivery import DeliveryPending, SpoolWriter
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
    undelivered: DeliveryPending | None = None


def supervise(ready: PreparedLaunch, launched: LaunchedRun, job: Job, screen: Reporter) -> Result:
    """Show the job's output and end its run. Raises `Interrupted` when a signal has stopped the job."""
    interrupted: Interrupted | None = None
    try:
        with kept_interruptions():
            screen.started(launched.run)
            show(ready.masker.stream(job.follow()), screen)
            screen.step("Storing the results")
    except Interrupted as interruption:
        interrupted = interruption
    with deferred_signals(drop=True):
        if interrupted:
            screen.step("Stopping the run")
            job.stop()
        job_result = job.end() or JobResult(None)
        by = run_folders.stopped_by(ready.workspace, launched.run.id)
        verdict = outcome.judge(launched.run.id, job_result, interrupted.number if interrupted else None, by)
        spool, keep = SpoolWriter(launched.folder), ready.plan.tracking.keep_files
        _LOG.info("Run %s ended: %s, %s", launched.run.id, verdict.status, verdict.reason)
        unlogged = outcome.close(
            spool, launched.run, job, launched.folder, ready.masker, verdict, keep_files=keep
        )
        removal = concurrency.submit(job.remove)
    run = delivery.known_run(ready.client.server, launched.folder)
    if unlogged:
        screen.remark(unlogged.remark)
    # All of it is on this disk: a signal may come now.
    try:
        undelivered = _deliver(ready, launched, removal)
    finally:
        with deferred_signals(drop=True):
            removal.result()
    if undelivered:
        screen.remark(f"{undelivered.message}\n{undelivered.hint}")
    elif not ready.plan.image.has_trainkit:
        with contextlib.suppress(TrackingError):
            run = ready.client.get_run(run.id)  # its metrics went past the spool
    refused = refusals.of_run(ready.workspace, launched.run.id)
    if refused and (interrupted or verdict.error):
        screen.remark(f"{refused.error.message}\n{refused.error.hint}")
    if interrupted:
        resume = f"trainer resume {launched.run.id[:8]}"
        interrupted.hint = f"The same command starts a new run; to go on with this one: {resume}"
        raise interrupted
    return Result(run, verdict.exit_code, verdict.error or (refused.error if refused else None), undelivered)


def show(pieces: Iterable[bytes], screen: Reporter) -> None:
    """Show the output of a job, masked, and what the run says of its progress."""
    output = JobOutput()
    for piece in pieces:
        for item in output.feed(piece):
            if isinstance(item, bytes):
                screen.output(item)
            else:
                screen.part(item.part, item.count)
    screen.output(output.flush())


def _deliver(ready: PreparedLaunch, launched: LaunchedRun, removal: Future[None]) -> DeliveryPending | None:
    if ready.offline:
        return DeliveryPending(delivery.pending(launched.folder), "no tracking server was asked (--offline).")
    try:
        delivery.deliver(ready.client, launched.folder)
    except DeliveryPending as error:
        client = server.changed(ready.workspace, launched.record, ready.client.server)
        if client is None:
            return error
        try:
            delivery.deliver(client, launched.folder)
        except DeliveryPending as second_error:
            return second_error
    else:
        client = ready.client
    run = delivery.known_run(client.server, launched.folder)
    if run.metrics or not ready.plan.image.has_trainkit:  # whose metrics went past the spool
        ui.ended(client, run)
    removal.result()
    run_folders.remove(ready.workspace, launched.run.id)
    return None
