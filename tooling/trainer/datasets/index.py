"""What is known of the files of a dataset, so that those that were not changed are not read again.

Git does the same with its index, and this keeps git's rule for "racily clean" entries: a file that was
changed just before it was read may have been changed again within the same tick of the file system's
clock, with no trace in its stamp. So a file that was young when the index was made is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from trainer import atomic_files, locks
from trainer.datasets.listing import Stamp
from trainer.workspace.settings import Workspace

_SCHEMA = 1
# The coarsest clock of a file system in use (FAT). Git compares with the tick of its own index.
_TICK_NS = 2_000_000_000

# Size, mtime, ctime, inode, SHA-256: as it is in the JSON file.
Entry: TypeAlias = tuple[int, int, int, int, str]


@dataclass(frozen=True)
class Index:
    """Hashes of files. `begun`: the moment (ns since the epoch) before the first of them was looked at."""

    begun: int = 0
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def sha256(self, path: str, stamp: Stamp) -> str | None:
        """The hash of the file with that stamp; None for one that has to be read."""
        entry = self.entries.get(path)
        if entry is None or max(stamp.mtime_ns, stamp.ctime_ns) >= self.begun - _TICK_NS:
            return None
        return entry[4] if tuple(entry[:4]) == stamp else None


def place(workspace: Workspace, root: Path) -> Path:
    """The file of the dataset's index. A dataset that is reached by two names has one."""
    key = hashlib.sha256(bytes(root.resolve())).hexdigest()[:16]
    return workspace.state / "datasets" / "index" / f"{key}.json"


def load(path: Path) -> Index:
    """The index, empty where there is none or it is invalid: then everything is read."""
    try:
        payload = json.loads(path.read_bytes())
        if payload["schema"] == _SCHEMA:
            return Index(int(payload["begun"]), dict(payload["files"]))
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return Index()


def save(path: Path, begun: int, stamps: Mapping[str, Stamp], hashes: Mapping[str, str]) -> None:
    """Write the index. It is a help and no more: a disk that is full costs the next call time."""
    entries = {path: (*stamp, hashes[path]) for path, stamp in stamps.items()}
    payload = {"schema": _SCHEMA, "begun": begun, "files": entries}
    with contextlib.suppress(OSError), locks.exclusive(path.with_suffix(".lock")):
        atomic_files.write(path, json.dumps(payload, separators=(",", ":")).encode())
