"""Ending the runs that nobody looks after: their launcher died, or let them go with --detach."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from trainer import backends, ending, records, secrets, server, server_container
from trainer.backends import End
from trainer.endpoint import configured
from trainer.errors import BadInput, TrainerError
from trainer.records import Record
from trainer.secrets import Masker
from trainer.tracking import Client
from trainer.workspace import Workspace

_NEW_FOLDER_AGE_S = 3600


@dataclass(frozen=True)
class Finding:
    """What became of an unattended run: its status now, or the error that kept it from being ended."""

    record: Record
    status: str
    error: TrainerError | None = None


def reconcile(workspace: Workspace) -> Iterator[Finding]:
    """End every unattended run whose job has ended; those that still run are left alone."""
    _sweep(workspace)
    for record, lock in records.unattended(workspace):
        try:
            yield Finding(record, _settle(workspace, record, wait=False))
        except TrainerError as problem:
            yield Finding(record, "UNKNOWN", problem)
        finally:
            os.close(lock)


def wait_for(workspace: Workspace, run_id: str) -> Finding:
    """Look after one detached run until it has ended."""
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        for record, lock in records.unattended(workspace):
            try:
                if record.run_id == run_id:
                    return Finding(record, _settle(workspace, record, wait=True))
            finally:
                os.close(lock)
        if not records.folder(workspace, run_id).exists():
            break
        time.sleep(0.1)  # its launcher is still letting go of it
    raise BadInput(f"There is no unattended run {run_id}.", "`trainer reconcile` shows those there are.")


def _settle(workspace: Workspace, record: Record, *, wait: bool) -> str:
    backend = backends.named(record.backend, workspace)
    backend.connect()
    job = backend.attach(record.run_id, records.folder(workspace, record.run_id))
    if wait:
        for _ in job.follow():
            pass
    end: End | None = job.end()
    if end is None:
        return "RUNNING"
    known = secrets.load(workspace)
    if record.own_server:
        client = Client(server.begin(workspace))
        server.wait(workspace, client.server)
    else:
        chosen = configured(known, record.tracking_uri)
        if chosen is None:
            raise RuntimeError("a server that was named is not the workspace's own")
        client = Client(server_container.revive(workspace, chosen))
    verdict = ending.judge(end)
    run = client.get_run(record.run_id)
    if run.status == "DELETED":  # by somebody, meanwhile: there is nothing left to tell
        job.remove()
    else:
        folder = records.folder(workspace, record.run_id)
        ending.close(client, run, job, folder, Masker(known.masked(record.secret_names)), verdict)
    records.remove(workspace, record.run_id)
    return "DELETED" if run.status == "DELETED" else verdict.status


def _sweep(workspace: Workspace) -> None:
    """Remove folders of launches that died before they had a run."""
    for place in (workspace.state / "runs").glob("new-*"):
        if time.time() - place.stat().st_mtime > _NEW_FOLDER_AGE_S:
            shutil.rmtree(place, ignore_errors=True)
