"""Ending the runs that nobody looks after: their launcher died, or let them go with --detach."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from trainkit.spool.names import OFFLINE_TAG

from trainer import logs
from trainer.backends import registry
from trainer.backends.base import Job, JobResult
from trainer.backends.docker import containers, reachability
from trainer.errors import InvalidInput, TrackingError, TrainerError
from trainer.masking import Masker
from trainer.runs import half_made, outcome, server, ui
from trainer.tracking import delivery, run_tags, search, spool_guard
from trainer.tracking.client import Client
from trainer.tracking.delivery import DeliveryPending, SpoolWriter
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import NotThere
from trainer.tracking.server_version import TooOld
from trainer.workspace import run_folder, run_folders, secrets
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What became of an unattended run: its status now, or the error that kept it from being ended.

    The status is RUNNING for a run that goes on, UNKNOWN where its end could not be seen or told, and
    ELSEWHERE for a run of another machine that shares the workspace.
    """

    record: Record
    status: str
    error: Exception | None = None


def reconcile(workspace: Workspace) -> Iterator[Finding]:
    """End every unattended run whose job has ended; those that still run are left alone.

    A second call changes nothing, and neither does an engine or a server that cannot be reached. Whatever
    goes wrong with one run, the others are ended.
    """
    for path in half_made.launches(workspace, run_folder.UNNAMED):
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(TrainerError):
        _adopt(workspace)
    for record in run_folders.live(workspace):
        if not record.is_here:
            yield Finding(record, "ELSEWHERE")
    for record, folder in run_folders.unfinished(workspace):
        try:
            yield from _end_unfinished(workspace, record, folder)
        except Exception as error:  # noqa: BLE001 (a run can leave what nobody thought of)
            yield Finding(record, "UNKNOWN", error)
    for record, lock in run_folders.unattended(workspace):
        with lock:
            try:
                yield Finding(record, settle(workspace, record, wait=False))
            except Exception as error:  # noqa: BLE001 (as above)
                yield Finding(record, "UNKNOWN", error)


def quickly(workspace: Workspace, patience_s: float = 2) -> list[str]:
    """Reconcile in a process of its own and wait for it a moment; a line for each run, settled or not.

    What takes longer goes on by itself, so that nothing here delays or fails the caller. Costs nothing
    where every run is looked after.
    """
    unreadable = [str(folder) for folder in run_folders.unreadable(workspace)]
    if not _has_unattended(workspace):
        return unreadable
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", "--workspace", str(workspace.root), "reconcile", "--json"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return [*unreadable, "Earlier runs are still being settled in the background: trainer ps"]
        out.seek(0)
        try:
            findings = json.load(out)
        except ValueError:
            return [*unreadable, "Earlier runs could not be settled: trainer reconcile"]
    return unreadable + [
        f"Earlier run {finding['name'] or finding['run_id'] or 'of ' + finding['project']}: "
        f"{finding['error'] or finding['refused'] or finding['status']}"
        for finding in findings
        if finding["status"] not in ("RUNNING", "ELSEWHERE")
    ]


def settle_one(workspace: Workspace, run_id: str, *, wait: bool = False) -> Finding | None:
    """End one run if its job has ended, or when it has (`wait`); None where somebody else looks after it."""
    for record, lock in run_folders.unattended(workspace):
        with lock:
            if record.run_id == run_id:
                return Finding(record, settle(workspace, record, wait=wait))
    return None


def wait_for(workspace: Workspace, run_id: str) -> Finding:
    """Look after one detached run until it has ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if finding := settle_one(workspace, run_id, wait=True):
            return finding
        if not run_folder.of(workspace, run_id).path.exists():
            break
        time.sleep(0.1)  # its launcher is still letting go of it
    raise InvalidInput(f"There is no unattended run {run_id}.", "`trainer reconcile` shows those there are.")


def in_background(workspace: Workspace, run_id: str) -> None:
    """Start a process that looks after the run; it outlives this one, and the terminal."""
    subprocess.Popen(
        [sys.executable, "-m", "trainer", "--workspace", str(workspace.root), "reconcile", "--wait", run_id],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def job_of(workspace: Workspace, record: Record) -> Job:
    """The run's job. Raises `EngineError` where its backend does not answer."""
    backend = registry.named(record.backend, workspace)
    backend.connect()
    return backend.attach(record.run_id, run_folder.of(workspace, record.run_id))


def _has_unattended(workspace: Workspace) -> bool:
    return any(True for _ in run_folders.unfinished(workspace)) or any(
        record.is_here and not run_folders.has_launcher(workspace, record.run_id)
        for record in run_folders.live(workspace)
    )


def settle(
    workspace: Workspace, record: Record, *, wait: bool, progress: Callable[[int, int], None] | None = None
) -> str:
    """End one run whose lock the caller holds, and deliver it; RUNNING where its job has not ended.

    Raises `DeliveryPending` (and other `TrainerError`s) when something of it stays on this disk.
    """
    with logs.collected() as log:
        with contextlib.suppress(TrainerError):  # what cannot be masked is not written
            masker = Masker(secrets.read(workspace).masked(record.secret_names))
            log.write_to(run_folder.of(workspace, record.run_id).trainer_log, masker.text)
        try:
            status = _settle(workspace, record, wait=wait, progress=progress)
        except TrainerError as error:
            _LOG.info("Run %s is not settled: %s", record.run_id, error.message)
            raise
        _LOG.info("Run %s is settled: %s", record.run_id, status)
        return status


def _settle(
    workspace: Workspace, record: Record, *, wait: bool, progress: Callable[[int, int], None] | None
) -> str:
    folder = run_folder.of(workspace, record.run_id)
    status = run_folders.ended(folder) or _close(workspace, record, wait=wait)
    if status is None:
        return "RUNNING"
    client = server.client_of(workspace, record)
    run = delivery.known_run(client.server, folder)
    if not run.url:  # nobody has asked this server yet
        _ask(client, folder)
    if run.url and _is_deleted(client, run.id):
        status = "DELETED"  # by somebody, meanwhile: there is nothing left to tell
    else:
        delivery.deliver(client, folder, progress)
        delivered = delivery.known_run(client.server, folder)
        if delivered.metrics:
            ui.ended(client, delivered)
        _rename(workspace, client, record, delivered.id)
    run_folders.remove(workspace, record.run_id)
    return status


def _is_deleted(client: Client, run_id: str) -> bool:
    with contextlib.suppress(NotThere):  # delivery says what that means
        return client.get_run(run_id).status == "DELETED"
    return False


def _rename(workspace: Workspace, client: Client, record: Record, name: str) -> None:
    """Remember the id that a server gave to the run, if the server agrees: the script may have made it up."""
    if name == record.run_id:
        return
    with contextlib.suppress(TrackingError):
        if client.get_run(name).tags.get(OFFLINE_TAG) == record.run_id:
            run_folders.rename(workspace, record, name)


def _ask(client: Client, folder: RunFolder) -> None:
    """Raise `TooOld` for a server that cannot have the run, and `DeliveryPending` where nobody can say."""
    try:
        reachability.from_host(client)
    except TooOld:
        raise
    except TrackingError as error:
        raise DeliveryPending(delivery.pending(folder), error.message) from None


def _close(workspace: Workspace, record: Record, *, wait: bool) -> str | None:
    """Write down how the job ended; None while it runs."""
    folder = run_folder.of(workspace, record.run_id)
    job = job_of(workspace, record)
    if wait:
        for _ in job.follow():
            pass
    end = job.end()
    if end is None:
        return None
    spool_guard.clean(folder)
    if not delivery.exists(folder):  # its record was lost, and rebuilt from the container's labels
        run_seen = server.client_of(workspace, record).get_run(record.run_id)
        SpoolWriter(folder).begin(run_seen, record.project, run_seen.tags, run_seen.parameters)
    verdict = outcome.judge(record.run_id, end, by=run_folders.stopped_by(workspace, record.run_id))
    run = delivery.known_run(Server(record.tracking_uri), folder)
    masker = Masker(secrets.load(workspace).masked(record.secret_names))
    outcome.close(SpoolWriter(folder), run, job, folder, masker, verdict, keep_files=record.keep_files)
    job.remove()
    return verdict.status


def _end_unfinished(workspace: Workspace, record: Record, folder: RunFolder) -> Iterator[Finding]:
    client = server.client_of(workspace, record)
    keys = (run_tags.key(run_tags.LAUNCH), run_tags.LAUNCH)  # the latter is an earlier trainer's
    for run in search.matching(client, *(f"tags.`{key}` = '{folder.path.name}'" for key in keys)):
        client.set_tags(run.id, {run_tags.END: "stopped before it started"})
        client.end_run(run.id, "KILLED")
        yield Finding(replace(record, run_id=run.id, name=run.name), "KILLED")
    shutil.rmtree(folder.path, ignore_errors=True)


def _adopt(workspace: Workspace) -> None:
    """Write down the runs of this workspace whose record was lost; their containers know enough."""
    ours = workspace.identity
    for container in containers.of_runs(usage=False):
        run = container.record
        is_known = run_folder.of(workspace, run.run_id).path.exists()
        if is_known or container.workspace != ours or not run.is_here:
            continue
        prepared = run_folders.new_folder(workspace)
        # The engine gives nothing out of a container whose mounted folder is gone.
        prepared.spool.mkdir()
        try:
            _, lock = run_folders.write(workspace, prepared, run)
        except OSError:  # another process has just done so
            shutil.rmtree(prepared.path, ignore_errors=True)
            continue
        with lock:  # else another process might take one that has just been settled for lost
            if job_of(workspace, run).end() == JobResult(None):  # ended in between, or never started
                run_folders.remove(workspace, run.run_id)
