"""One run of a trial: started, or found to go on, followed in a thread, and ended truthfully."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from trainer import concurrency
from trainer.backends.base import Job, JobResult
from trainer.errors import EngineError, TrainerError
from trainer.runs import launch, outcome, reconcile
from trainer.runs.launch import StartsJob
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.runs.launch.screen import Reporter
from trainer.sweeps.events import Events
from trainer.sweeps.reports import Reports
from trainer.sweeps.requests import Unit
from trainer.tracking import delivery, run_tags
from trainer.tracking.client import Client, Run
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.endpoint import Server
from trainer.tracking.search import trials
from trainer.tracking.search.trials import State
from trainer.workspace import run_folder, run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)

BY = "trainer sweep"
"""Who stops the runs of a sweep that is interrupted, as their tags say."""
PRUNER = "the pruner of the sweep"
_ASK_S = 5
_REPLACED_S = 10
"""So long what is left to do of an ended run waits at most until another one has its place."""


@dataclass(frozen=True)
class Ended:
    """How one run of a trial ended."""

    unit: Unit
    run: Run
    state: State
    metrics: Mapping[str, float]
    took_s: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Settled:
    """All of an ended run is told to the tracking server, or there is an error that says what is not."""

    run: Run
    error: TrainerError | None = None


Event: TypeAlias = Ended | Settled


def _nothing() -> None:
    pass


@dataclass
class Running:
    """A run of a trial that this process looks after."""

    unit: Unit
    run: Run
    record: Record
    folder: RunFolder
    job: Job
    held: ExitStack = field(repr=False)
    since: float = field(default_factory=time.time)
    release: Callable[[], None] = _nothing
    """Gives back what it has of the machine, when its job has ended."""
    _reports: Reports | None = None

    def reports(self, metric: str) -> Reports:
        """What it has logged of this metric."""
        if self._reports is None:
            self._reports = Reports(self.run.id, self.folder, metric)
        return self._reports

    def stop(self, workspace: Workspace, by: str) -> None:
        """Have it stopped; its end is seen by who follows it."""

        def stopped() -> None:
            with contextlib.suppress(TrainerError, OSError):  # it has ended, or the engine is away
                run_folders.ask_to_stop(workspace, self.run.id, by)
                self.job.stop()

        concurrency.submit(stopped)

    def prune(self, workspace: Workspace, step: int) -> None:
        """Have it stopped because it is not promising, as of that step."""
        SpoolWriter(self.folder).set_tags(self.run.id, {run_tags.PRUNED: f"step {step}"})
        self.stop(workspace, PRUNER)

    def follow(self, workspace: Workspace, client: Client, events: Events[Event]) -> None:
        """In a thread: say when the run has ended, and then when the tracking server has all of it."""
        concurrency.submit(lambda: _until_the_end(workspace, self, client, events))


@dataclass(frozen=True)
class Elsewhere:
    """A run of a trial that another process looks after, or another machine."""

    unit: Unit
    run: Run

    def follow(self, _: Workspace, client: Client, events: Events[Event]) -> None:
        """In a thread: ask the tracking server until the run has ended."""

        def asked() -> None:
            run = self.run
            while run.status == "RUNNING":
                time.sleep(_ASK_S)
                with contextlib.suppress(TrainerError):
                    run = client.get_run(run.id)
            events.put(of_server(self.unit, run))
            events.put(Settled(run))

        concurrency.submit(asked)


def start(
    ready: PreparedLaunch,
    unit: Unit,
    screen: Reporter,
    created: Callable[[Run], None],
    starts_job: StartsJob | None = None,
) -> Running:
    """Start a run; `created` and `starts_job` as of `launch.start`.

    Raises `TrainerError`: then there is none that goes on.
    """
    held = ExitStack()
    try:
        started = launch.start(ready, screen, held, created=created, starts_job=starts_job)
    except BaseException:
        held.close()
        raise
    launched = started.launched
    running = Running(unit, launched.run, launched.record, launched.folder, started.job, held)
    running.release = partial(_release, ready)
    return running


def _release(ready: PreparedLaunch) -> None:
    if ready.slot:
        with contextlib.suppress(EngineError):  # which forgets it by itself
            ready.backend.release(ready.slot)


def adopt(workspace: Workspace, unit: Unit, run: Run) -> Running | None:
    """Look after a run that was left alone; None where somebody else does, or it has ended."""
    for record, lock in run_folders.unattended(workspace):
        if record.run_id != run.id:
            lock.release()
            continue
        held = ExitStack()
        held.enter_context(lock)
        job = reconcile.job_of(workspace, record)
        return Running(unit, run, record, run_folder.of(workspace, run.id), job, held, record.started)
    return None


def _until_the_end(workspace: Workspace, running: Running, client: Client, events: Events[Event]) -> None:
    try:
        for _ in running.job.follow():
            pass
        running.release()
        is_heeded = events.put(_ended(workspace, running, client))
    except Exception as error:  # noqa: BLE001 (whoever waits has to hear of it)
        _LOG.exception("Trial %s cannot be followed", running.unit.trial)
        is_heeded = events.put(Ended(running.unit, running.run, "interrupted", {}, why=str(error)))
    # Settling takes as much of the server, the engine and this process as beginning the next trial, which a
    # core waits for.
    is_heeded.wait(_REPLACED_S)
    not_told: TrainerError | None = None
    try:
        reconcile.settle(workspace, running.record, wait=False)
    except TrainerError as error:
        not_told = error
    finally:
        running.held.close()
    events.put(Settled(running.run, not_told))


def _ended(workspace: Workspace, running: Running, client: Client) -> Ended:
    end = running.job.end() or JobResult(None)
    by = run_folders.stopped_by(workspace, running.run.id)
    verdict = outcome.judge(running.run.id, end, by=by)
    running.job.fetch(running.folder)
    metrics = delivery.known_run(Server(running.record.tracking_uri), running.folder).metrics
    if not metrics:  # those of an image without trainkit go past the spool
        with contextlib.suppress(TrainerError):
            metrics = client.get_run(running.run.id).metrics
    state = trials.state_of(verdict.status, verdict.reason, is_pruned=by == PRUNER)
    took = (end.at or time.time()) - running.since
    return Ended(running.unit, running.run, state, metrics, took, verdict.reason)


def of_server(unit: Unit, run: Run) -> Ended:
    """How a run ended that nobody follows any more."""
    took = (run.ended or 0) - (run.started or 0)
    return Ended(unit, run, trials.state(run), run.metrics, took, run.tags.get(run_tags.END, ""))
