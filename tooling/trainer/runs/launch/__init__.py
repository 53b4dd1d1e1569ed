"""Running a plan: the run is made, started, followed, and ended truthfully."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TypeAlias

from trainkit import mlflow_in_run, run_environment

from trainer import concurrency, logs
from trainer.backends.base import Job, Launch
from trainer.errors import EngineError
from trainer.plan import consent
from trainer.plan.consent import Permission
from trainer.plan.run_plan import RunPlan
from trainer.runs import reconcile
from trainer.runs.launch import begin, follow, prepare, store
from trainer.runs.launch.begin import LaunchedRun, ResumedRun
from trainer.runs.launch.follow import Result
from trainer.runs.launch.prepare import PackedCode, PreparedLaunch
from trainer.runs.launch.screen import Reporter
from trainer.slots import need as slots
from trainer.slots.need import Slot
from trainer.subprocesses import deferred_signals, interruptible, kept_interruptions
from trainer.tracking.client import Run
from trainer.workspace import run_folder
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)

__all__ = ["Reporter", "Result", "ResumedRun", "Started", "StartsJob", "launch", "of_children", "start"]


StartsJob: TypeAlias = Callable[[RunPlan, Launch, Callable[[], object]], Job]
"""As `Backend.start`."""


@dataclass(frozen=True)
class Started:
    """A run whose job was started."""

    launched: LaunchedRun
    job: Job
    remarks: tuple[str, ...] = ()
    """What the user should know."""


def _nothing(_: Run) -> None:
    pass


def launch(
    workspace: Workspace,
    plan: RunPlan,
    screen: Reporter,
    *,
    tracking_uri: str | None = None,
    experiment_id: str | None = None,
    detach: bool = False,
    earlier: ResumedRun | None = None,
    offline: bool = False,
    allowed: Collection[Permission] = (),
    created: Callable[[Run], None] = _nothing,
    slot: Slot | None = None,
    code: PackedCode | None = None,
) -> Result:
    """Run the plan and end its MLflow run truthfully; with `earlier`, as the same run again.

    `offline` asks no tracking server before or meanwhile. `allowed` is what the user was asked for now.
    `created` as in `start`. `slot` is what was claimed for the run already, `code` what was
    packed for it.

    Raises `TrainerError` for what goes wrong before the script starts, and `Interrupted` after a signal,
    when the job is stopped and the run is KILLED. How the script itself ended is in the result.
    """
    with interruptible(), logs.collected() as log, ExitStack() as held:
        consent.check(workspace, plan.asked, allowed)
        for remark in plan.remarks:
            screen.remark(remark)
        goes_on = earlier is not None
        ready = prepare.prepare(workspace, plan, screen, tracking_uri, goes_on=goes_on, offline=offline)
        for remark in ready.remarks:
            screen.remark(remark)
        need = slots.of(plan.resources)
        if slot is None and not need.is_nothing:
            slot = ready.backend.claim(need, ready.image_id)
        ready = replace(ready, slot=slot, code=code)
        screen.step("Starting the run")

        def logged(run: Run) -> None:
            log.write_to(run_folder.of(workspace, run.id).trainer_log, ready.masker.text)
            _LOG.info("Run %s is on %s", run.id, ready.client.server.uri)
            created(run)

        started = start(ready, screen, held, experiment_id=experiment_id, earlier=earlier, created=logged)
        launched = started.launched
        for remark in started.remarks:
            screen.remark(remark)
        if not detach:
            return follow.supervise(ready, launched, started.job, screen)
        held.close()
        reconcile.in_background(workspace, launched.run.id)
        screen.started(launched.run)
        return Result(launched.run, None)


def start(
    ready: PreparedLaunch,
    screen: Reporter,
    held: ExitStack,
    *,
    experiment_id: str | None = None,
    earlier: ResumedRun | None = None,
    created: Callable[[Run], None] = _nothing,
    starts_job: StartsJob | None = None,
) -> Started:
    """Make the run, and start its job: the caller looks after it, and lets go of it by closing `held`.

    `created` is called with the run when it is written down and its job does not exist yet: what it raises
    ends the run, as a signal does. The slot of `ready` is the run's: it is given back where this raises.
    `starts_job` does that in the backend's place.
    """
    with ExitStack() as unstarted, kept_interruptions():
        if ready.slot:
            unstarted.callback(_release, ready, ready.slot)
        launched = (
            begin.again(ready, earlier, screen, held, unstarted)
            if earlier
            else begin.new(ready, experiment_id, screen, held, unstarted)
        )
        created(launched.run)
        stored = _store(ready, launched)
        job = _start(ready, launched, stored, unstarted, starts_job or ready.backend.start)
        unstarted.pop_all()
    return Started(launched, job, tuple(stored.result()))


def _release(ready: PreparedLaunch, slot: Slot) -> None:
    with deferred_signals(drop=True), contextlib.suppress(EngineError):  # which forgets it by itself
        ready.backend.release(slot)


def _store(ready: PreparedLaunch, launched: LaunchedRun) -> Future[list[str]]:
    """What is stored with the run before its job starts; the result is what the user should know of it."""
    if launched.restarts is not None:  # it has all that
        return concurrency.submit(list)
    if ready.offline:
        remarks = store.in_spool(ready, launched)
        return concurrency.submit(lambda: remarks)
    return concurrency.submit(lambda: store.on_server(ready, launched))


def _start(
    ready: PreparedLaunch,
    launched: LaunchedRun,
    stored: Future[list[str]],
    unstarted: ExitStack,
    starts_job: StartsJob,
) -> Job:
    with deferred_signals():
        job = starts_job(ready.plan, _job_launch(ready, launched), lambda: concurrency.wait(stored))
        unstarted.callback(_discard, job)  # should a signal have come while it was started
    return job


def _discard(job: Job) -> None:
    with deferred_signals(drop=True):
        job.stop()
        job.remove()


def of_children(ready: PreparedLaunch, parent: Run, folder: RunFolder) -> Launch:
    """What runs of that preparation below one run have in common: a launch without an id of a run's own."""
    return _job_launch(ready, LaunchedRun(replace(parent, id=""), begin.record(ready, parent), folder))


def _job_launch(ready: PreparedLaunch, launched: LaunchedRun) -> Launch:
    server_used = ready.client.server
    token = {"MLFLOW_TRACKING_TOKEN": server_used.token} if server_used.token else {}
    return Launch(
        record=launched.record,
        workspace=ready.workspace.identity,
        image_id=ready.image_id,
        folder=launched.folder,
        environment={
            # A stock MLflow, as in images that are not trainer's, does not know the scheme of the spool.
            "MLFLOW_TRACKING_URI": ("spool+" if ready.plan.image.has_trainkit else "") + _seen_uri(ready),
            "MLFLOW_RUN_ID": launched.run.id,
            mlflow_in_run.VARIABLE: launched.run.id,
            "MLFLOW_EXPERIMENT_ID": launched.run.experiment_id,
            **({run_environment.RESTARTS: str(launched.restarts)} if launched.restarts is not None else {}),
            **({run_environment.OFFLINE: "1"} if ready.offline else {}),
        },
        secret_environment={**ready.secret_environment, **token},
        credentials=(server_used.username, server_used.password or "") if server_used.username else None,
        outbound=ready.outbound,
        network=server_used.network,
        slot=ready.slot,
        repeated_code=launched.repeated_code,
    )


def _seen_uri(ready: PreparedLaunch) -> str:
    """The server's address as a run writes it; offline it need not be one that can be reached from there."""
    tracking = ready.client.server
    return tracking.uri if ready.offline else ready.backend.reachable_uri(tracking)
