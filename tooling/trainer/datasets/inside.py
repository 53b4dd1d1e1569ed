"""Symbolic links in datasets: whether they stay inside, and whether a container can follow them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import InvalidInput
from trainer.projects.mounts import Mount


@dataclass(frozen=True)
class MountedFolder:
    """A folder as it is mounted into a run's container: at `target`, which is in `mount`."""

    root: Path
    target: str
    mount: Mount

    def unreachable_target(self, link: str) -> str | None:
        """The target of a link in the folder, if the container does not have it; None if it does."""
        target = os.readlink(link)  # noqa: PTH115 (called for each link of many)
        folder = os.path.relpath(os.path.dirname(link), self.root)  # noqa: PTH120
        destination = Path(os.path.normpath(os.path.join(self.target, folder, target)))  # noqa: PTH118
        is_there = Path(os.path.realpath(link)).is_relative_to(os.path.realpath(self.mount.source))
        return None if is_there and destination.is_relative_to(self.mount.target) else target

    def check(self, link: str) -> None:
        """Raises `InvalidInput` for a link whose target the container does not have."""
        if target := self.unreachable_target(link):
            raise InvalidInput(
                f"{link} is a link to {target}, which the container of a run does not have.",
                "Put what it leads to in its place, or make a copy that has no links: "
                + shlex.join(["cp", "-rL", str(self.root), f"{self.root}-copy"]),
            )


def mounted(root: Path, mounts: Iterable[Mount]) -> MountedFolder | None:
    """The folder as these mounts bring it into a container; None if none of them does."""
    resolved = root.resolve()
    sources = [(Path(mount.source).resolve(), mount) for mount in mounts if mount.kind == "bind"]
    holding = [(source, mount) for source, mount in sources if resolved.is_relative_to(source)]
    if not holding:
        return None
    source, mount = max(holding, key=lambda pair: len(pair[0].parts))
    return MountedFolder(root, os.path.normpath(Path(mount.target) / resolved.relative_to(source)), mount)


def check(root: Path, path: Path) -> None:
    """Raises `InvalidInput` where `path`, below `root` by its name, is outside of it on the disk."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise InvalidInput(
            f"{path} leads out of {root} by a link, to {path.resolve()}.",
            "Put the files themselves in the place of the link, or name the folder that it leads to.",
        )
