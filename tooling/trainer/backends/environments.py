"""Virtual environments of the local backend: each is made once, from the lock of an image."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Collection, Container
from pathlib import Path

from trainer import leftovers as leftover
from trainer import locks, subprocesses
from trainer.errors import ImageError
from trainer.images import project_env
from trainer.images.image import RunImage
from trainer.images.spec import PREFIX
from trainer.leftovers import Leftover, Leftovers
from trainer.progress import Steps
from trainer.workspace import run_folders, unfinished
from trainer.workspace.settings import Workspace

_COMPLETE = "trainer-complete"


def folder(workspace: Workspace, image: RunImage) -> Path:
    """Where the image's environment is, or will be made."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _parent(workspace) / f"{image.name}-{image.digest[:12]}-py{python}"


def prepare(workspace: Workspace, image: RunImage, steps: Steps) -> Path:
    """Make the image's environment if it is not there; returns its folder. Raises `ImageError`."""
    path = folder(workspace, image)
    complete = path / _COMPLETE
    with locks.exclusive(path.with_suffix(".lock")):
        if not complete.exists():
            from uv import find_uv_bin

            shutil.rmtree(path, ignore_errors=True)
            steps.step(f"Making the environment of {image.name}")
            with unfinished.folder(workspace, unfinished.ENVIRONMENT) as source:
                for command in image.environment(path, source, find_uv_bin()):
                    _install(command, steps)
            complete.touch()
    return path


def is_complete(path: Path) -> bool:
    """Whether the environment was made, and not only begun."""
    return (path / _COMPLETE).exists()


def _install(command: list[str], steps: Steps) -> None:
    last = ""
    try:
        for line in subprocesses.lines(command):
            last = line.strip() or last
            steps.detail(line)
            steps.part(last)
    except subprocess.CalledProcessError:
        raise ImageError(
            f"The local environment could not be made: {last}",
            "Check that the package registry can be reached, then try again.",
        ) from None


def leftovers(
    workspace: Workspace, current: Container[str], days: float | None, kept: Collection[str] = ()
) -> Leftovers:
    """Of trainer images those of other tags than the `current` ones.

    With `days` also those of projects, as old as that. The tags `kept` are waited for.
    """
    leftovers_found = []
    live = {*kept, *(record.image for record in run_folders.live(workspace))}
    for path in sorted(_parent(workspace).glob("*-py*/")):
        name, digest, _ = path.name.rsplit("-", 2)
        tag = f"{PREFIX}{name}:{digest}"
        if name.startswith(project_env.NAME_PREFIX):
            age = leftover.days(path.stat().st_mtime)
            is_old, why = days is not None and age > days, f"made {age:.0f} days ago for a project"
        else:
            is_old, why = tag not in current, "its inputs have changed since"
        if is_old and tag not in live:
            leftovers_found.append(Leftover("environment", str(path), leftover.size(path), why))
    return leftover.paths(leftovers_found)


def _parent(workspace: Workspace) -> Path:
    return workspace.state / "environments"
