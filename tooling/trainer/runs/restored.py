"""Runs that were live when a backup was made: after it is restored, nobody else ends them."""

from __future__ import annotations

from trainkit.spool.names import OFFLINE_TAG

from trainer.runs import reconcile
from trainer.tracking import run_tags, search, spool_replay
from trainer.tracking.client import Client, Run
from trainer.tracking.search import Query
from trainer.workspace import run_folder, run_folders
from trainer.workspace.settings import Workspace

END = "live when the restored backup was made"


def end(workspace: Workspace, client: Client, backed_up: float) -> int:
    """End the runs that are RUNNING on the restored server, and return how many are KILLED now.

    A run whose end this workspace knows gets that. One that goes on here, or on another machine that shares
    the workspace, and what was not started by trainer are left alone. `backed_up` is when the others were
    last seen, in seconds since 1970.
    """
    for record in [*run_folders.live(workspace), *run_folders.undelivered(workspace)]:
        spool_replay.ask(run_folder.of(workspace, record.run_id))  # what came after the backup is gone
    for _ in reconcile.reconcile(workspace):  # what cannot be delivered now stays, and is told later
        pass
    known_ids = {
        record.run_id for record in [*run_folders.live(workspace), *run_folders.undelivered(workspace)]
    }
    running = [entry.run for entry in search.search(client, Query(condition="attributes.status = 'RUNNING'"))]
    lost = {run.id: run for run in running if _is_trainers(run) and not known_ids & _ids(run)}
    while more := [
        run for run in running if run.id not in lost and run.tags.get(run_tags.PARENT_RUN) in lost
    ]:
        lost.update((run.id, run) for run in more)
    for run in lost.values():
        client.set_tags(run.id, {run_tags.END: END})
        client.end_run(run.id, "KILLED", max(backed_up, run.started or 0))
    return len(lost)


def _ids(run: Run) -> set[str]:
    return {run.id, run.tags.get(OFFLINE_TAG, run.id), run.tags.get(run_tags.PARENT_RUN, run.id)}


def _is_trainers(run: Run) -> bool:
    return run_tags.PARENT_RUN not in run.tags and any(tag.startswith("trainer.") for tag in run.tags)
