"""What is written down about a live run, so that it can be ended truthfully whoever dies meanwhile.

Each live run has a folder .trainer/runs/RUN_ID. The process that looks after the run holds a lock in it; a
folder whose lock is free belongs to a run that nobody looks after.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer import locks
from trainer.workspace import Workspace

_FILE = "record.json"
_LOCK = "looked-after"


@dataclass(frozen=True)
class Record:
    """A live run: where it is tracked and where it is executed."""

    run_id: str
    project: str
    backend: str
    tracking_uri: str
    own_server: bool
    secret_names: tuple[str, ...] = ()


def folder(workspace: Workspace, run_id: str) -> Path:
    """The run's own folder on this machine."""
    return workspace.state / "runs" / run_id


def new_folder(workspace: Workspace) -> Path:
    """A folder for a run that has no id yet."""
    runs = workspace.state / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="new-", dir=runs))


def write(workspace: Workspace, prepared: Path, record: Record) -> tuple[Path, int]:
    """Make the prepared folder the run's own: the folder, and the lock of who looks after the run."""
    lock = locks.acquire(prepared / _LOCK)
    if lock is None:
        raise RuntimeError("nobody else knows of a folder that was just made")
    (prepared / _FILE).write_text(json.dumps(asdict(record)))
    return prepared.rename(folder(workspace, record.run_id)), lock


def unattended(workspace: Workspace) -> Iterator[tuple[Record, int]]:
    """The runs that nobody looks after, each with the lock that makes the caller the one who does."""
    for path in sorted((workspace.state / "runs").glob(f"*/{_FILE}")):
        lock = locks.acquire(path.with_name(_LOCK))
        if lock is None:
            continue
        try:
            record = Record(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            os.close(lock)  # ended in between, or not ours to judge
            continue
        if path.parent != folder(workspace, record.run_id):
            # Its launcher died between writing this down and naming the folder.
            path.parent.rename(folder(workspace, record.run_id))
        yield record, lock


def live(workspace: Workspace) -> list[str]:
    """The ids of all runs that have not been ended, looked after or not."""
    return sorted(path.parent.name for path in (workspace.state / "runs").glob(f"*/{_FILE}"))


def remove(workspace: Workspace, run_id: str) -> None:
    """The run has ended and everything of it is on the server."""
    shutil.rmtree(folder(workspace, run_id), ignore_errors=True)
