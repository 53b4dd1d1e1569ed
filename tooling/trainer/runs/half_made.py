"""Folders that launches, clones and resumptions had begun when they were killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainkit.spool.journal import Spool

from trainer import leftovers as leftover
from trainer import locks
from trainer.leftovers import KILLED, Leftover, Leftovers
from trainer.workspace import run_folders, unfinished
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace


def leftovers(workspace: Workspace) -> Leftovers:
    """All of them."""
    launched = (path for path in unfinished.folders(workspace) if _is_forsaken(path))
    folders = sorted([*launches(workspace), *launched])
    return leftover.paths(Leftover("folder", str(path), leftover.size(path), KILLED) for path in folders)


def launches(workspace: Workspace, called: str = "") -> Iterator[Path]:
    """Those that had no run yet: nothing in them is a run's, understood or not, or is on this disk alone.

    `called` is what their names begin with.
    """
    for folder in run_folders.all_folders(workspace):
        is_empty = not run_folders.contains_run(folder) and is_delivered(folder)
        if is_empty and folder.path.name.startswith(called) and _is_forsaken(folder.path):
            yield folder.path


def is_delivered(folder: RunFolder) -> bool:
    """Whether the server has all of the run's journal, what this version cannot read included."""
    spool = Spool(folder.spool)
    return not spool.journal.exists() or spool.journal.stat().st_size <= spool.delivered()


def _is_forsaken(folder: Path) -> bool:
    """Whether nothing in it was written for long, and no process says that it uses it."""
    try:
        touched = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:  # it is being removed, or written to
        return False
    return not leftover.may_be_in_use(touched) and not locks.is_used(folder)
