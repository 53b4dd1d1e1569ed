"""Runs that have ended, and that their server does not know any more."""

from __future__ import annotations

from collections.abc import Iterator

from trainer import leftovers as leftover
from trainer.errors import TrainerError
from trainer.leftovers import Leftover, Leftovers
from trainer.runs import half_made, reconcile, server
from trainer.tracking.failures import NotThere
from trainer.workspace import run_folder, run_folders
from trainer.workspace.settings import Workspace


def leftovers(workspace: Workspace) -> Leftovers:
    """Their folders. None where a server, or a backend, cannot be asked."""
    try:
        return leftover.each(_found(workspace), lambda one: _remove(workspace, one.name))
    except TrainerError as error:
        return leftover.nothing(f"Runs whose end is not told yet were left alone: {error.message}")


def _found(workspace: Workspace) -> Iterator[Leftover]:
    for record in run_folders.live(workspace):
        folder = run_folder.of(workspace, record.run_id)
        is_ours = record.is_here and not run_folders.has_launcher(workspace, record.run_id)
        if not is_ours or not half_made.is_delivered(folder):
            continue
        if reconcile.job_of(workspace, record).end() is None:
            continue
        try:
            server.client_of(workspace, record).get_run(record.run_id)
        except NotThere:
            why = f"{record.tracking_uri} has it no more"
            yield Leftover("run", record.run_id, leftover.size(folder.path), why)


def _remove(workspace: Workspace, run_id: str) -> bool:
    for record, lock in run_folders.unattended(workspace):
        with lock:
            if record.run_id == run_id:
                reconcile.job_of(workspace, record).remove()
                run_folders.remove(workspace, record.run_id)
    return True
