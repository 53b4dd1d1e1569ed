"""Folders that something is made in. A killed process leaves one, and `trainer gc` knows it by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from trainer import locks
from trainer.workspace.settings import Workspace

CLONE, RESUMPTION, REPRODUCTION, ENVIRONMENT = "source-", "resume-", "reproduce-", "building-"
DOWNLOAD, IMAGE, SESSION, QUEUED = "download-", "image-", "session-", "queued-"
PROJECT = ".new-"
"""In the folder of projects, so that the project can be moved to its place; the others are in `.trainer/`."""
_EARLIER = "context-"  # as earlier versions made them


def folder(workspace: Workspace, kind: str) -> AbstractContextManager[Path]:
    """Within: a new folder of that kind. It is removed at the end."""
    return locks.temporary_folder(parent(workspace, kind), kind)


def parent(workspace: Workspace, kind: str) -> Path:
    """Where folders of that kind are."""
    return workspace.projects if kind == PROJECT else workspace.state


def folders(workspace: Workspace) -> Iterator[Path]:
    """All that there are, in use or not."""
    kinds = (
        CLONE,
        RESUMPTION,
        REPRODUCTION,
        ENVIRONMENT,
        DOWNLOAD,
        IMAGE,
        SESSION,
        QUEUED,
        PROJECT,
        _EARLIER,
    )
    for kind in kinds:
        yield from parent(workspace, kind).glob(f"{kind}*/")
