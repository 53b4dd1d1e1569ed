"""Whether there is room for a run: in the workspace, and where the engine keeps images and containers."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import CheckFailed
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Space:
    """How much is free at a folder, in GB as `df -H` counts."""

    folder: Path
    free_gb: float

    def __str__(self) -> str:
        """In words."""
        return f"{self.free_gb:.3g} GB free at {self.folder}"


def look(workspace: Workspace, root: Path | None = None) -> list[Space]:
    """One for each disk: the workspace's, and the one where an engine of this machine has its `root`."""
    folders = [workspace.root]
    # Not there: the engine runs in a virtual machine of this one.
    if root and root.is_dir() and root.stat().st_dev != workspace.root.stat().st_dev:
        folders.append(root)
    return [Space(folder, shutil.disk_usage(folder).free / 1e9) for folder in folders]


def check(workspace: Workspace, root: Path | None = None) -> None:
    """Raises `CheckFailed` where less is free than the workspace's settings want for a run."""
    for space in look(workspace, root):
        if space.free_gb < workspace.settings.disk_free_gb:
            raise CheckFailed(
                f"Only {space}; a run wants {workspace.settings.disk_free_gb} GB at least.",
                "Make room (docker system df shows the engine's), or lower disk_free_gb in trainer.yaml.",
            )
