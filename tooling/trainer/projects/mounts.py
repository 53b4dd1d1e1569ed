"""What a run sees of the host's files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainkit.run_environment import DATA


@dataclass(frozen=True)
class Mount:
    """A host folder or file (`bind`) or a named volume, as the run sees it."""

    source: str
    target: str
    read_only: bool = True
    kind: Literal["bind", "volume"] = "bind"
    optional: bool = False
    """Whether a run can do without it, where the engine is on another machine."""


def of_dataset(data: Path, name: str) -> tuple[Mount, ...]:
    """What a run in a container sees of a dataset in `data`, the workspace's folder of them."""
    return (Mount(str(data), DATA), *linked_data(data, name))


def linked_data(data: Path, name: str) -> list[Mount]:
    """What a link in data/ leads to has to be where the link, seen from inside, leads."""
    parts = Path(name).parts
    for depth in range(1, len(parts) + 1):
        relative = Path(*parts[:depth])
        path = data / relative
        if path.is_symlink():
            target = os.path.normpath(Path(DATA) / relative.parent / path.readlink())
            return [] if Path(target).is_relative_to(DATA) else [Mount(str(path.resolve()), target)]
    return []
