"""Which workspaces of this user use an image: they share an engine, and `gc` of one leaves the others' alone.

An image itself does not say for whom it was built: the same inputs come to the same image everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainer import atomic_files
from trainer.host import user
from trainer.workspace.settings import SETTINGS_FILE, Workspace

_KEPT = 200
"""So many tags are remembered of a workspace."""


class Tagged(Protocol):
    """An image and what it is built on."""

    @property
    def tag(self) -> str:
        """It names the inputs."""

    @property
    def parent(self) -> Tagged | None:
        """The trainer image that it inherits from."""


@dataclass(frozen=True)
class Uses:
    """Tags of images that other workspaces use which are still there."""

    only: frozenset[str]
    """Those that this workspace has never used: the `gc` of one that has will offer them."""
    latest: frozenset[str]
    """Of each name the one that such a workspace used last."""


def note(workspace: Workspace, image: Tagged) -> None:
    """Write down that the workspace uses the image, with those that it is built on.

    A home that cannot be written is no error: then nobody knows.
    """
    tags, above = [image.tag], image.parent
    while above:
        tags, above = [above.tag, *tags], above.parent
    path = _folder() / f"{workspace.identity}.json"
    with contextlib.suppress(OSError):
        _, before = _read(path)
        if list(before[-len(tags) :]) == tags:
            return
        kept = [*(tag for tag in before if tag not in tags), *tags][-_KEPT:]
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write(path, json.dumps({"workspace": str(workspace.root), "images": kept}).encode())


def last(workspace: Workspace) -> dict[str, str]:
    """The tag of each name that the workspace has used last, by the name."""
    _, tags = _read(_folder() / f"{workspace.identity}.json")
    return {tag.rpartition(":")[0]: tag for tag in tags}


def others(workspace: Workspace) -> Uses:
    """What other workspaces use. One that is gone is forgotten."""
    own, used, latest = set[str](), set[str](), set[str]()
    for path in sorted(_folder().glob("*.json")):
        root, tags = _read(path)
        if path.stem == workspace.identity:
            own.update(tags)
        elif root and os.path.lexists(Path(root) / SETTINGS_FILE):
            used.update(tags)
            latest.update({tag.rpartition(":")[0]: tag for tag in tags}.values())
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return Uses(frozenset(used - own), frozenset(latest))


def _folder() -> Path:
    return user.state() / "images"


def _read(path: Path) -> tuple[str, Sequence[str]]:
    """The workspace's folder and its tags, the one used last at the end; nothing where it cannot be read."""
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
        return str(payload["workspace"]), [str(tag) for tag in payload["images"]]
    except (OSError, ValueError, LookupError, TypeError):
        return "", []
