"""Stopping a sweep from elsewhere, as Ctrl-C in its terminal does: with its trials, and it can go on."""

from __future__ import annotations

import time
from collections.abc import Iterator

from trainer.errors import FileError
from trainer.host import living
from trainer.sweeps import state
from trainer.sweeps.state import SweepFolder
from trainer.workspace.settings import Workspace

_PATIENCE_S, _POLL_S = 60, 0.1


def running(workspace: Workspace) -> Iterator[SweepFolder]:
    """The sweeps of the workspace that a process runs."""
    return (folder for folder in state.unfinished(workspace) if folder.is_controlled)


def stop(folder: SweepFolder) -> bool:
    """Have the process that runs the sweep stop it; whether it has done so within a minute.

    Raises `FileError` where that process cannot be told: it is another user's, or another machine's. Safe to
    call twice.
    """
    try:
        why = "" if living.interrupt(folder.controller) else "it is not of this machine"
    except OSError as error:
        why = str(error.strerror)
    if why and folder.is_controlled:
        raise FileError(
            f"The process that runs the sweep {folder.parent_id[:8]} cannot be stopped: {why}.",
            "Stop it where it was started, by the same user.",
        )
    give_up = time.monotonic() + _PATIENCE_S
    while folder.is_controlled and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    return not folder.is_controlled
