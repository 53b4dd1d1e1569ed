"""Running a plan: the run is made, started, followed, and ended truthfully."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from trainer import logs
from trainer.backends.base import End, Job, Launch
from trainer.background import Meanwhile
from trainer.errors import Interrupted, TrackingError, TrainerError
from trainer.images import trainer_image
from trainer.plan import consent, downloads
from trainer.plan.consent import Ask
from trainer.plan.request import RunPlan
from trainer.progress import Steps
from trainer.runs import outcome, prepare, reconcile, run_record, server, stored_code
from trainer.runs.prepare import Ready
from trainer.runs.run_record import Pins
from trainer.source import cache, snapshot
from trainer.source.cache import Packed
from trainer.subprocesses import deferred_signals, interruptible
from trainer.tracking import artifact_roots, delivery, run_tags
from trainer.tracking.client import LONGEST_VALUE, Client, Run
from trainer.tracking.delivery import Notebook, Undelivered
from trainer.tracking.failures import ServerFailure, TooLarge
from trainer.workspace import refusals, run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)
_MUCH_CODE = 50_000_000  # bytes


class Screen(Steps, Protocol):
    """Where a launch shows what it does."""

    def started(self, run: Run) -> None:
        """The run exists; its output follows."""

    def output(self, piece: bytes) -> None:
        """A piece of the run's output, secrets masked."""

    def remark(self, text: str) -> None:
        """What the user has to know, though it is no failure."""


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


@dataclass(frozen=True)
class Earlier:
    """A run that has ended and is to go on, with what it was made of."""

    run: Run
    archive: Path
    """Its code; moved away."""
    log: Path
    """Its output so far; moved away."""
    restarts: int
    """How many times it was resumed, this time included."""


@dataclass(frozen=True)
class _Made:
    """The run exists on the server, and this process looks after it."""

    run: Run
    record: Record
    folder: Path
    lock: int
    repeated_code: str = ""
    remarks: list[str] = field(default_factory=list)


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
    with interruptible(), logs.collected() as log:
        consent.check(workspace, plan.asked, allowed)
        for remark in plan.remarks:
            screen.remark(remark)
        goes_on = earlier is not None
        ready = prepare.prepare(workspace, plan, screen, tracking_uri, goes_on=goes_on, offline=offline)
        for remark in ready.remarks:
            screen.remark(remark)
        screen.step("Starting the run")
        made = _take_up(ready, earlier, screen) if earlier else _make_run(ready, experiment_id, screen)
        log.write_to(made.folder, ready.masker.text)
        _LOG.info("Run %s is on %s", made.run.id, ready.client.server.uri)
        try:
            job = _start(ready, made, earlier)
            for remark in made.remarks:
                screen.remark(remark)
            if not detach:
                return _see_it_through(ready, made, job, screen)
        finally:
            os.close(made.lock)
        reconcile.in_background(workspace, made.run.id)
        screen.started(made.run)
        return Result(made.run, None)


def _make_run(ready: Ready, experiment_id: str | None, screen: Screen) -> _Made:
    plan, client = ready.plan, ready.client
    prepared = run_folders.new_folder(ready.workspace)
    made: _Made | None = None
    is_asked = False
    has_trainkit = plan.image.has_trainkit
    try:
        found = Meanwhile(lambda: None if ready.offline else _experiment(ready, experiment_id))
        packed = _pack(ready, prepared / "source.tar.gz", screen)
        downloads.fetch(plan.downloads, prepared, client.server, screen.step)
        _remark_on_long(plan, screen)
        # Masked before the command's words are joined: quoted, a secret is another text.
        pinned = ready.masker.tree(_pin(ready, packed.digest))
        (prepared / "run.json").write_text(json.dumps(run_record.as_json(pinned), indent=2))
        tags = {**run_record.tags(pinned), **ready.masker.tree(dict(plan.tags))}
        tags[run_tags.LAUNCH] = prepared.name
        if plan.keep_files:
            tags[run_tags.KEEP_FILES] = "true"
        experiment: str | None = None
        if not ready.offline:
            experiment = found.result() or artifact_roots.make(
                client, plan.experiment, has_trainkit=has_trainkit
            )
        book = Notebook(prepared)
        with deferred_signals(), run_folders.launching(prepared, _record(ready)):
            if experiment is None:
                book.begin_offline(plan.experiment, plan.run_name, tags)
                run = delivery.known_run(client.server, prepared)
            else:
                is_asked = True
                run = client.create_run(experiment, plan.run_name, tags)
                book.begin(run, plan.experiment, tags, ready.masker.tree(dict(plan.parameters)))
            repeated, record = packed.digest if packed.is_repeated else "", _record(ready, run)
            made = _Made(run, record, *run_folders.write(ready.workspace, prepared, record), repeated)
        command, image = shlex.join(pinned.command.run), pinned.image
        content = consent.content(packed.digest, command, image.tag, image.id)
        had = (*plan.asked.asks, *consent.of_image(image.tag, image.id, image.repo_digests))
        consent.of_run(ready.workspace, replace(plan.asked, asks=had), consent.StoredRun(run.id, content))
    except BaseException as problem:
        if (
            not is_asked
        ):  # else the server may have made the run, though no answer came: that is settled later
            shutil.rmtree(prepared, ignore_errors=True)
        if made:
            _never_started(ready, made, problem)
            os.close(made.lock)
        raise
    return made


def _experiment(ready: Ready, experiment_id: str | None) -> str | None:
    """The experiment's id, None if it is not there."""
    has_trainkit = ready.plan.image.has_trainkit
    if experiment_id is None:
        return artifact_roots.find(ready.client, ready.plan.experiment, has_trainkit=has_trainkit)
    uri = artifact_roots.location(ready.client, experiment_id)
    artifact_roots.check(ready.client.server, uri, has_trainkit=has_trainkit)
    return experiment_id


def _remark_on_long(plan: RunPlan, screen: Screen) -> None:
    for name, value in plan.parameters.items():
        if len(value) > LONGEST_VALUE:
            screen.remark(
                f"The parameter {name} has {len(value):,} characters: the tracking server stores the first "
                f"{LONGEST_VALUE:,}.\nAll of it is in the run's artifact {run_record.ARTIFACT}."
            )


def _pack(ready: Ready, archive: Path, screen: Screen) -> Packed:
    plan = ready.plan
    uid, gid = ready.backend.owner()
    if plan.again is not None:
        return Packed(
            snapshot.pack(plan.folder, archive, uid=uid, gid=gid, paths=snapshot.unpacked(plan.folder))
        )
    packed = cache.pack(ready.workspace, plan.folder, archive, uid=uid, gid=gid)
    if (size := archive.stat().st_size) > _MUCH_CODE:
        screen.remark(
            f"The code in {plan.folder} is {size / 1e6:.0f} MB packed: all of it is stored with each run.\n"
            "Name in .gitignore what is no code, or keep it in data/."
        )
    return packed


def _pin(ready: Ready, code_digest: str) -> Pins:
    backend, plan = ready.backend, ready.plan
    origin, host = backend.origin(ready.image_id), backend.hardware()
    return run_record.of(plan, origin, host, ready.data, code_digest)


def _take_up(ready: Ready, earlier: Earlier, screen: Screen) -> _Made:
    uri = earlier.run.artifact_uri
    artifact_roots.check(ready.client.server, uri, has_trainkit=ready.plan.image.has_trainkit)
    artifact_roots.see(ready.client, earlier.run.id, uri, stored_code.ARTIFACT)
    prepared = run_folders.new_folder(ready.workspace)
    try:
        downloads.fetch(ready.plan.downloads, prepared, ready.client.server, screen.step)
    except BaseException:
        shutil.rmtree(prepared, ignore_errors=True)
        raise
    earlier.archive.rename(prepared / "source.tar.gz")
    earlier.log.rename(prepared / outcome.EARLIER_LOG)
    tags = {key: value for key, value in earlier.run.tags.items() if key not in outcome.TAGS}
    Notebook(prepared).begin(earlier.run, ready.plan.experiment, tags, earlier.run.parameters)
    going_on, record = replace(earlier.run, status="RUNNING"), _record(ready, earlier.run)
    with deferred_signals():
        made = _Made(going_on, record, *run_folders.write(ready.workspace, prepared, record))
        try:
            ready.client.resume_run(earlier.run.id, outcome.TAGS)
            ready.client.set_tags(earlier.run.id, {run_tags.RESTARTS: str(earlier.restarts)})
        except TrackingError as problem:
            _never_started(ready, made, problem)
            os.close(made.lock)
            raise
    return made


def _record(ready: Ready, run: Run | None = None) -> Record:
    return Record(
        run_id=run.id if run else "",
        project=ready.plan.project,
        backend=ready.plan.backend,
        tracking_uri=ready.client.server.uri,
        own_server=ready.own_server,
        secret_names=ready.plan.secret_names,
        name=run.name if run else ready.plan.run_name or "",
        image=ready.plan.image.tag,
        keep_files=ready.plan.keep_files,
    )


def _start(ready: Ready, made: _Made, earlier: Earlier | None = None) -> Job:
    server_used = ready.client.server
    token = {"MLFLOW_TRACKING_TOKEN": server_used.token} if server_used.token else {}
    job_launch = Launch(
        record=made.record,
        workspace=ready.workspace.identity,
        image_id=ready.image_id,
        folder=made.folder,
        archive=made.folder / "source.tar.gz",
        environment={
            # A stock MLflow, as in images that are not trainer's, does not know the scheme of the spool.
            "MLFLOW_TRACKING_URI": ("spool+" if ready.plan.image.has_trainkit else "") + _seen_uri(ready),
            "MLFLOW_RUN_ID": made.run.id,
            "TRAINER_RUN_ID": made.run.id,
            "MLFLOW_EXPERIMENT_ID": made.run.experiment_id,
            **({"TRAINER_RESTARTS": str(earlier.restarts)} if earlier else {}),
            **({"TRAINER_OFFLINE": "1"} if ready.offline else {}),
        },
        secret_environment={**ready.secret_environment, **token},
        credentials=(server_used.username, server_used.password or "") if server_used.username else None,
        outbound=ready.outbound,
        network=server_used.network,
        repeated_code=made.repeated_code,
    )
    job: Job | None = None
    try:
        if earlier:
            told = Meanwhile(lambda: None)
        elif ready.offline:
            _tell(ready, made, Notebook(made.folder))
            told = Meanwhile(lambda: None)
        else:
            told = Meanwhile(lambda: _tell_server(ready, made))
        with deferred_signals():
            job = ready.backend.start(ready.plan, job_launch, lambda: told.result(heed_signals=True))
    except BaseException as problem:
        with deferred_signals(drop=True):
            if job:  # the signal came while it was started
                job.stop()
                job.remove()
            _never_started(ready, made, problem)
        raise
    return job


def _tell_server(ready: Ready, made: _Made) -> None:
    _tell(ready, made, ready.client)
    artifact_roots.see(ready.client, made.run.id, made.run.artifact_uri, stored_code.ARTIFACT)


def _tell(ready: Ready, made: _Made, teller: Client | Notebook) -> None:
    """What the run is given, and what it takes to make it again."""
    teller.log_parameters(made.run.id, ready.masker.tree(dict(ready.plan.parameters)))
    teller.log_inputs(made.run.id, ready.data)
    neither = "Without it the run can be neither resumed nor reproduced."
    _store(made, teller, made.folder / "source.tar.gz", stored_code.ARTIFACT, neither)
    if packed := ready.plan.image.packed(ready.workspace):
        only = "Without it the run can be resumed and reproduced as long as its image is there."
        _store(made, teller, packed, trainer_image.ARTIFACT, only)
    teller.upload(made.run, made.folder / "run.json", run_record.ARTIFACT)


def _store(made: _Made, teller: Client | Notebook, archive: Path, artifact: str, without: str) -> None:
    """Store an archive with the run; one that is too large for the server costs no training.

    `without`: what it means that the run has no such artifact.
    """
    try:
        teller.upload(made.run, archive, artifact)
    except TooLarge as problem:
        # By way of the spool it is refused as anything that the run logs: the run is marked, the file kept.
        Notebook(made.folder).upload(made.run, archive, artifact)
        size, again = archive.stat().st_size / 1e6, f"trainer sync {made.run.id[:8]} --refused"
        made.remarks.append(
            f"{artifact} ({size:.1f} MB) is too large to be stored: {problem.message}\n"
            f"{without} It is kept on this disk. {problem.hint} Then: {again}"
        )
    except ServerFailure as problem:
        raise artifact_roots.not_stored(
            f"The run was not started: the artifact {artifact}", problem
        ) from None


def _never_started(ready: Ready, made: _Made, problem: BaseException) -> None:
    """The script never ran. A server that cannot be told so now is told later: the record stays."""
    stopped = isinstance(problem, Interrupted)
    why = "stopped before it started" if stopped else "could not be started"
    if ready.offline:  # nobody has heard of it
        run_folders.remove(ready.workspace, made.run.id)
        return
    with contextlib.suppress(TrackingError):
        ready.client.set_tags(made.run.id, {run_tags.END: why})
        ready.client.end_run(made.run.id, "KILLED" if stopped else "FAILED")
        run_folders.remove(ready.workspace, made.run.id)


def _see_it_through(ready: Ready, made: _Made, job: Job, screen: Screen) -> Result:
    interrupted: Interrupted | None = None
    try:
        screen.started(made.run)
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
        by = run_folders.stopped_by(ready.workspace, made.run.id)
        verdict = outcome.judge(made.run.id, seen, interrupted.number if interrupted else None, by)
        book, keep = Notebook(made.folder), ready.plan.keep_files
        _LOG.info("Run %s ended: %s, %s", made.run.id, verdict.status, verdict.reason)
        left = outcome.close(book, made.run, job, made.folder, ready.masker, verdict, keep_files=keep)
        removal = Meanwhile(job.remove)
    run = delivery.known_run(ready.client.server, made.folder)
    if left:
        screen.remark(left.remark)
    # All of it is on this disk: a signal may come now.
    try:
        undelivered = _deliver(ready, made, removal)
    finally:
        with deferred_signals(drop=True):
            removal.result()
    if undelivered:
        screen.remark(f"{undelivered.message}\n{undelivered.hint}")
    elif not ready.plan.image.has_trainkit:
        with contextlib.suppress(TrackingError):
            run = ready.client.get_run(run.id)  # its metrics went past the spool
    kept = refusals.of_run(ready.workspace, made.run.id)
    if kept and (interrupted or verdict.error):
        screen.remark(f"{kept.error.message}\n{kept.error.hint}")
    if interrupted:
        raise interrupted
    return Result(run, verdict.exit_code, verdict.error or (kept.error if kept else None), undelivered)


def _deliver(ready: Ready, made: _Made, removal: Meanwhile[None]) -> Undelivered | None:
    if ready.offline:
        return Undelivered(delivery.left(made.folder), "no tracking server was asked (--offline).")
    try:
        delivery.bring(ready.client, made.folder)
    except Undelivered as problem:
        client = server.changed(ready.workspace, made.record, ready.client.server)
        if client is None:
            return problem
        try:
            delivery.bring(client, made.folder)
        except Undelivered as still:
            return still
    removal.result()
    run_folders.remove(ready.workspace, made.run.id)
    return None


def _seen_uri(ready: Ready) -> str:
    """The server's address as a run writes it; offline it need not be one that can be reached from there."""
    tracking = ready.client.server
    return tracking.uri if ready.offline else ready.backend.reachable_uri(tracking)
