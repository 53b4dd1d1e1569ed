"""Sweeps whose controller is gone: killed, or stopped by its user. They can go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.errors import TrainerError
from trainer.runs import server
from trainer.sweeps import state
from trainer.sweeps.search import spec_file
from trainer.sweeps.state import SweepFolder
from trainer.tracking import run_tags
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

END = "cut off"


@dataclass(frozen=True)
class Found:
    """A sweep that nobody runs."""

    run_id: str
    project: str

    @property
    def text(self) -> str:
        """A line for the user."""
        command = f"trainer sweep --resume {self.run_id[:8]}"
        return f"A sweep of {self.project} was cut off. It goes on with: {command}"


def find(workspace: Workspace) -> Iterator[Found]:
    """All there are in the workspace."""
    for folder in state.unfinished(workspace):
        if not folder.is_controlled:
            with contextlib.suppress(TrainerError):  # what cannot be read cannot go on
                yield Found(folder.parent_id, spec_file.read(folder.spec).project)


def end(workspace: Workspace) -> list[Found]:
    """Set the parent runs of those KILLED that the tracking server still has as RUNNING.

    What it cannot be told now, it is told by the next call.
    """
    ended = []
    for found in find(workspace):
        folder = state.find(workspace, found.run_id)
        with contextlib.suppress(TrainerError):
            if folder and _end(workspace, folder):
                ended.append(found)
    return ended


def _end(workspace: Workspace, folder: SweepFolder) -> bool:
    with folder.lock():  # raises where it has just been taken up again
        begun = folder.begun()
        record = Record(folder.parent_id, "", begun.backend, begun.tracking_uri, begun.own_server)
        client = server.client_of(workspace, record)
        run = client.get_run(folder.parent_id)
        if run.status != "RUNNING":
            return False
        client.set_tags(run.id, {run_tags.END: END})
        client.end_run(run.id, "KILLED")
        return True
