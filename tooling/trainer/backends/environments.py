"""Virtual environments of the local backend: each is made once, from the lock of an image."""

from __future__ import annotations

import sys
from collections.abc import Container
from pathlib import Path

from trainer import leftovers as leftover
from trainer.images import project_env
from trainer.images.image import RunImage
from trainer.images.spec import PREFIX
from trainer.leftovers import Leftover, Leftovers
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace


def folder(workspace: Workspace, image: RunImage) -> Path:
    """Where the image's environment is, or will be made."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _parent(workspace) / f"{image.name}-{image.digest[:12]}-py{python}"


def leftovers(workspace: Workspace, current: Container[str], days: float | None) -> Leftovers:
    """Of trainer images those of other tags than the `current` ones.

    With `days` also those of projects, as old as that.
    """
    found = []
    live = {record.image for record in run_folders.live(workspace)}
    for path in sorted(_parent(workspace).glob("*-py*/")):
        name, digest, _ = path.name.rsplit("-", 2)
        tag = f"{PREFIX}{name}:{digest}"
        if name.startswith(project_env.NAME_PREFIX):
            age = leftover.days(path.stat().st_mtime)
            is_old, why = days is not None and age > days, f"made {age:.0f} days ago for a project"
        else:
            is_old, why = tag not in current, "its inputs have changed since"
        if is_old and tag not in live:
            found.append(Leftover("environment", str(path), leftover.size(path), why))
    return leftover.paths(found)


def _parent(workspace: Workspace) -> Path:
    return workspace.state / "environments"
