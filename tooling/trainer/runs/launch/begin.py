"""The beginning of a run: it is created on the tracking server, or resumed there, and written down here."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType

from trainer import concurrency
from trainer.backends.base import Backend
from trainer.errors import Interrupted, TrackingDenied, TrackingError
from trainer.plan import consent, downloads
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.runs import outcome, run_record, stored_code
from trainer.runs.launch.prepare import PreparedLaunch
from trainer.runs.launch.screen import Reporter
from trainer.runs.run_record import RunRecord
from trainer.source import cache, snapshot
from trainer.source.cache import Packed
from trainer.subprocesses import deferred_signals
from trainer.tracking import delivery, run_tags
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.client import LONGEST_VALUE, Client, Run
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.failures import NotPermitted
from trainer.workspace import run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_MUCH_CODE = 50_000_000  # bytes


@dataclass(frozen=True)
class ResumedRun:
    """A run that has ended and is to go on, with what it was made of."""

    run: Run
    archive: Path
    """Its code; moved away."""
    log: Path
    """Its output so far; moved away."""
    restarts: int
    """How many times it was resumed, this time included."""


@dataclass(frozen=True)
class LaunchedRun:
    """A run on the server that this process looks after."""

    run: Run
    record: Record
    folder: RunFolder
    repeated_code: str = ""
    restarts: int | None = None


def new(
    ready: PreparedLaunch, experiment_id: str | None, screen: Reporter, held: ExitStack, unstarted: ExitStack
) -> LaunchedRun:
    """Create the run. Its lock is released by `held`; `unstarted` ends it if the script never runs."""
    plan, client = ready.plan, ready.client
    with ExitStack() as unmade:
        prepared = run_folders.new_folder(ready.workspace)
        unmade.callback(shutil.rmtree, prepared.path, ignore_errors=True)
        lookup = concurrency.submit(lambda: None if ready.offline else _experiment(ready, experiment_id))
        packed = _pack(ready, prepared.source, screen)
        downloads.fetch(plan.inputs.downloads, prepared, client.server, screen.step)
        _remark_on_long(plan, screen)
        # Masked before the command's words are joined: quoted, a secret is another text.
        pinned = ready.masker.tree(_pin(ready, packed.digest))
        prepared.run_record.write_text(json.dumps(run_record.as_json(pinned), indent=2))
        tags = {**run_record.tags(pinned), **ready.masker.tree(dict(plan.tracking.tags))}
        tags[run_tags.LAUNCH] = prepared.path.name
        experiment: str | None = None
        if not ready.offline:
            experiment = lookup.result() or artifact_roots.make(
                client, plan.tracking.experiment, has_trainkit=plan.image.has_trainkit
            )
        spool = SpoolWriter(prepared)
        with deferred_signals(), run_folders.launching(prepared, record(ready)):
            if experiment is None:
                spool.begin_offline(plan.tracking.experiment, plan.tracking.run_name, tags)
                run = delivery.known_run(client.server, prepared)
            else:
                unmade.pop_all()  # the server may make the run though no answer comes: that is settled later
                run = _create(client, experiment, plan, tags)
                logged = ready.masker.tree(plan.logged_parameters)
                spool.begin(run, plan.tracking.experiment, tags, logged)
            launched = write_down(ready, run, prepared, held, unstarted)
    command, image = shlex.join(pinned.command.run), pinned.image
    content = consent.content(packed.digest, command, image.tag, image.id)
    had = (*plan.asked.asks, *consent.of_image(image.tag, image.id, image.repo_digests))
    consent.of_run(ready.workspace, replace(plan.asked, asks=had), consent.StoredRun(run.id, content))
    return replace(launched, repeated_code=packed.digest if packed.is_repeated else "")


def _create(client: Client, experiment: str, plan: RunPlan, tags: Mapping[str, str]) -> Run:
    try:
        return client.create_run(experiment, plan.tracking.run_name, tags)
    except NotPermitted as denied:
        name = plan.tracking.experiment
        raise TrackingDenied(
            f"{denied.message.rstrip('.')} to add runs to the experiment {name}.",
            f"Ask its owner: trainer server users grant {client.server.username} {shlex.quote(name)}",
        ) from None


def again(
    ready: PreparedLaunch, earlier: ResumedRun, screen: Reporter, held: ExitStack, unstarted: ExitStack
) -> LaunchedRun:
    """Resume the run; else as `new`."""
    uri = earlier.run.artifact_uri
    artifact_roots.check(ready.client.server, uri, has_trainkit=ready.plan.image.has_trainkit)
    artifact_roots.see(ready.client, earlier.run.id, uri, stored_code.ARTIFACT)
    with ExitStack() as unmade:
        prepared = run_folders.new_folder(ready.workspace)
        unmade.callback(shutil.rmtree, prepared.path, ignore_errors=True)
        downloads.fetch(ready.plan.inputs.downloads, prepared, ready.client.server, screen.step)
        earlier.archive.rename(prepared.source)
        earlier.log.rename(prepared.earlier_log)
        tags = {key: value for key, value in earlier.run.tags.items() if key not in outcome.TAGS}
        SpoolWriter(prepared).begin(earlier.run, ready.plan.tracking.experiment, tags, earlier.run.parameters)
        with deferred_signals():
            going_on = replace(earlier.run, status="RUNNING")
            launched = write_down(ready, going_on, prepared, held, unstarted)
            unmade.pop_all()
            ready.client.resume_run(earlier.run.id, outcome.TAGS)
            ready.client.set_tags(earlier.run.id, {run_tags.RESTARTS: str(earlier.restarts)})
    return replace(launched, restarts=earlier.restarts)


def write_down(
    ready: PreparedLaunch, run: Run, prepared: RunFolder, held: ExitStack, unstarted: ExitStack
) -> LaunchedRun:
    """Write the run down: from now on it is ended whatever becomes of this process."""
    written = record(ready, run)
    folder, lock = run_folders.write(ready.workspace, prepared, written)
    held.enter_context(lock)
    unstarted.push(partial(_end_unstarted, ready, run))
    return LaunchedRun(run, written, folder)


def _end_unstarted(
    ready: PreparedLaunch,
    run: Run,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _where: TracebackType | None,
) -> None:
    """The script never ran. A server that cannot be told so now is told later: the record stays."""
    stopped = isinstance(error, Interrupted)
    why = "stopped before it started" if stopped else "could not be started"
    with deferred_signals(drop=True):
        if ready.offline:  # nobody has heard of it
            run_folders.remove(ready.workspace, run.id)
            return
        with contextlib.suppress(TrackingError):
            ready.client.set_tags(run.id, {run_tags.END: why})
            ready.client.end_run(run.id, "KILLED" if stopped else "FAILED")
            run_folders.remove(ready.workspace, run.id)


def _experiment(ready: PreparedLaunch, experiment_id: str | None) -> str | None:
    """The experiment's id, None if it is not there."""
    has_trainkit = ready.plan.image.has_trainkit
    if experiment_id is None:
        return artifact_roots.find(ready.client, ready.plan.tracking.experiment, has_trainkit=has_trainkit)
    uri = artifact_roots.location(ready.client, experiment_id)
    artifact_roots.check(ready.client.server, uri, has_trainkit=has_trainkit)
    return experiment_id


def _remark_on_long(plan: RunPlan, screen: Reporter) -> None:
    for name, value in plan.inputs.parameters.items():
        if len(value) > LONGEST_VALUE:
            screen.remark(
                f"The parameter {name} has {len(value):,} characters: the tracking server stores the first "
                f"{LONGEST_VALUE:,}.\nAll of it is in the run's artifact {run_record.ARTIFACT}."
            )


def _pack(ready: PreparedLaunch, archive: Path, screen: Reporter) -> Packed:
    code = ready.plan.code
    if ready.code is not None:
        shutil.copyfile(ready.code.archive, archive)
        return Packed(ready.code.digest)
    if code.again is not None:
        uid, gid = ready.backend.owner()
        paths = snapshot.unpacked(code.folder)
        return Packed(snapshot.pack(code.folder, archive, uid=uid, gid=gid, paths=paths))
    return pack(ready.workspace, ready.backend, code.folder, archive, screen)


def pack(workspace: Workspace, backend: Backend, folder: Path, archive: Path, screen: Steps) -> Packed:
    """Write the project's code to `archive`, as the backend unpacks it; the user is told of much code."""
    uid, gid = backend.owner()
    packed = cache.pack(workspace, folder, archive, uid=uid, gid=gid)
    if (size := archive.stat().st_size) > _MUCH_CODE:
        screen.remark(
            f"The code in {folder} is {size / 1e6:.0f} MB packed: all of it is stored with each run.\n"
            "List what is not code in .gitignore, or move it to data/."
        )
    return packed


def _pin(ready: PreparedLaunch, code_digest: str) -> RunRecord:
    backend, plan = ready.backend, ready.plan
    origin, host = backend.origin(ready.image_id), backend.hardware(ready.slot)
    commit = ready.code.commit if ready.code else run_record.commit(plan)
    return run_record.of(plan, origin, host, ready.data, code_digest, commit)


def _as_it_was(word: str, moved: Mapping[str, str]) -> str:
    for now, before in moved.items():
        word = word.replace(now, before)
    return word


def record(ready: PreparedLaunch, run: Run | None = None) -> Record:
    """What is written down about a run of the preparation, as far as it is known before there is one."""
    return Record(
        run_id=run.id if run else "",
        project=ready.plan.code.project,
        backend=ready.plan.backend,
        tracking_uri=ready.client.server.uri,
        own_server=ready.own_server,
        secret_names=ready.plan.environment.secret_names,
        name=run.name if run else ready.plan.tracking.run_name or "",
        image=ready.plan.image.tag,
        keep_files=ready.plan.tracking.keep_files,
    )
