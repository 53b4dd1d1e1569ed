"""Running a plan: the run is made, started, followed, and ended truthfully."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import ExitStack

from trainkit import mlflow_in_run, run_environment

from trainer import logs
from trainer.backends.base import Job, Launch
from trainer.background import Meanwhile
from trainer.plan import consent
from trainer.plan.consent import Ask
from trainer.plan.run_plan import RunPlan
from trainer.runs import reconcile
from trainer.runs.launch import begin, follow, prepare, store
from trainer.runs.launch.begin import Begun, Earlier
from trainer.runs.launch.follow import Result
from trainer.runs.launch.prepare import Ready
from trainer.runs.launch.screen import Screen
from trainer.subprocesses import deferred_signals, interruptible
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)

__all__ = ["Earlier", "Result", "Screen", "launch"]


def launch(
    workspace: Workspace,
    plan: RunPlan,
    screen: Screen,
    *,
    tracking_uri: str | None = None,
    experiment_id: str | None = None,
    detach: bool = False,
    earlier: Earlier | None = None,
    offline: bool = False,
    allowed: Collection[Ask] = (),
) -> Result:
    """Run the plan and end its MLflow run truthfully; with `earlier`, as the same run again.

    `offline` asks no tracking server before or meanwhile. `allowed` is what the user was asked for now.

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
        screen.step("Starting the run")
        with ExitStack() as unstarted:
            begun = (
                begin.again(ready, earlier, screen, held, unstarted)
                if earlier
                else begin.new(ready, experiment_id, screen, held, unstarted)
            )
            log.write_to(begun.folder.trainer_log, ready.masker.text)
            _LOG.info("Run %s is on %s", begun.run.id, ready.client.server.uri)
            stored = _store(ready, begun)
            job = _start(ready, begun, stored, unstarted)
            unstarted.pop_all()
        for remark in stored.result():
            screen.remark(remark)
        if not detach:
            return follow.to_the_end(ready, begun, job, screen)
        held.close()
        reconcile.in_background(workspace, begun.run.id)
        screen.started(begun.run)
        return Result(begun.run, None)


def _store(ready: Ready, begun: Begun) -> Meanwhile[list[str]]:
    """What is stored with the run before its job starts; the result is what the user should know of it."""
    if begun.restarts is not None:  # it has all that
        return Meanwhile(list)
    if ready.offline:
        remarks = store.in_spool(ready, begun)
        return Meanwhile(lambda: remarks)
    return Meanwhile(lambda: store.on_server(ready, begun))


def _start(ready: Ready, begun: Begun, stored: Meanwhile[list[str]], unstarted: ExitStack) -> Job:
    with deferred_signals():
        job = ready.backend.start(
            ready.plan, _job_launch(ready, begun), lambda: stored.result(heed_signals=True)
        )
        unstarted.callback(_discard, job)  # should a signal have come while it was started
    return job


def _discard(job: Job) -> None:
    with deferred_signals(drop=True):
        job.stop()
        job.remove()


def _job_launch(ready: Ready, begun: Begun) -> Launch:
    server_used = ready.client.server
    token = {"MLFLOW_TRACKING_TOKEN": server_used.token} if server_used.token else {}
    return Launch(
        record=begun.record,
        workspace=ready.workspace.identity,
        image_id=ready.image_id,
        folder=begun.folder,
        environment={
            # A stock MLflow, as in images that are not trainer's, does not know the scheme of the spool.
            "MLFLOW_TRACKING_URI": ("spool+" if ready.plan.image.has_trainkit else "") + _seen_uri(ready),
            "MLFLOW_RUN_ID": begun.run.id,
            mlflow_in_run.VARIABLE: begun.run.id,
            "MLFLOW_EXPERIMENT_ID": begun.run.experiment_id,
            **({run_environment.RESTARTS: str(begun.restarts)} if begun.restarts is not None else {}),
            **({run_environment.OFFLINE: "1"} if ready.offline else {}),
        },
        secret_environment={**ready.secret_environment, **token},
        credentials=(server_used.username, server_used.password or "") if server_used.username else None,
        outbound=ready.outbound,
        network=server_used.network,
        repeated_code=begun.repeated_code,
    )


def _seen_uri(ready: Ready) -> str:
    """The server's address as a run writes it; offline it need not be one that can be reached from there."""
    tracking = ready.client.server
    return tracking.uri if ready.offline else ready.backend.reachable_uri(tracking)
