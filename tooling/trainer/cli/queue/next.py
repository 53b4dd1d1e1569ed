"""Whoever ends a run has the next one started."""

from __future__ import annotations

import contextlib

import click

from trainer.workspace.settings import Workspace


def start_next(workspace: Workspace) -> None:
    """When the command has ended, however that is, have a process start what waits in the queue."""

    def start() -> None:
        from trainer.queue import work

        with contextlib.suppress(OSError):  # a disk that is full: the command itself has said so
            work.in_background(workspace)

    click.get_current_context().call_on_close(start)
