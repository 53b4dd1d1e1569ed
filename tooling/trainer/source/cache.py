"""The archive of a large project's code, kept from its last launch: what did not change is not packed again.

Whether it changed is told by the stamps of its files, as git does with its index, and with git's rule for
"racily clean" entries: a file that was changed just before it was packed may have been changed again
within the same tick of the file system's clock, so what was that young is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer import leftovers as leftover
from trainer import locks
from trainer.leftovers import Leftover, Leftovers
from trainer.source import snapshot
from trainer.workspace.settings import Workspace

# Below both, packing takes no longer than finding out that it need not be done.
_MANY, _MUCH = 1_000, 16 << 20
_SCHEMA = 1
_TICK_NS = 2_000_000_000  # the coarsest clock of a file system in use (FAT)


@dataclass(frozen=True)
class Packed:
    """The code's digest, and whether it is large and was launched before as it is."""

    digest: str
    is_repeated: bool = False


@dataclass(frozen=True)
class _FileStamps:
    """What can be told of files without reading them. `newest`: the last change of any of them, in ns."""

    stamps: str
    newest: int


@dataclass(frozen=True)
class _CachedArchive:
    """What is known of the archive beside it. `begun`: when its files were looked at, in ns."""

    stamps: str
    begun: int
    digest: str


def pack(workspace: Workspace, folder: Path, archive: Path, *, uid: int, gid: int) -> Packed:
    """As `snapshot.pack`, which is spared where nothing changed since the last launch."""
    begun = time.time_ns()
    paths = snapshot.files(folder)
    stamps = None if folder.is_relative_to(workspace.state) else _stat_files(folder, paths, f"{uid} {gid}")
    if stamps is None:
        return Packed(snapshot.pack(folder, archive, uid=uid, gid=gid, paths=paths))
    entry = _place(workspace, key(folder))
    with locks.exclusive(entry.with_suffix(".lock")):
        before = _load(entry)
        if before and before.stamps == stamps.stamps and stamps.newest < before.begun - _TICK_NS:
            with contextlib.suppress(OSError):
                shutil.copyfile(entry / "source.tar.gz", archive)
                os.utime(entry)  # `trainer gc` goes by it
                return Packed(before.digest, is_repeated=True)
        packed = snapshot.pack(folder, archive, uid=uid, gid=gid, paths=paths)
        _store(entry, archive, _CachedArchive(stamps.stamps, begun, packed))
    return Packed(packed, is_repeated=before is not None and before.digest == packed)


def key(folder: Path) -> str:
    """What a project's code is kept under."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def digest(folder: Path) -> str | None:
    """Of the code that is kept in one of `folders`."""
    cached = _load(folder)
    return cached.digest if cached else None


def folders(workspace: Workspace) -> list[Path]:
    """Where archives are kept, each named by its project's key, and last used when it was changed."""
    return sorted(path.parent for path in _place(workspace, "").glob("*/kept.json"))


def leftovers(workspace: Workspace, days: float) -> Leftovers:
    """Archives of code that was not launched for so many days."""
    found = []
    for path in folders(workspace):
        age = leftover.days(path.stat().st_mtime)
        if age > days:
            why = f"code that was not launched for {age:.0f} days"
            found.append(Leftover("folder", str(path), leftover.size(path), why))
    return leftover.paths(found)


def _place(workspace: Workspace, name: str) -> Path:
    return workspace.state / "code" / name


def _stat_files(folder: Path, paths: Sequence[Path], owner: str) -> _FileStamps | None:
    """None for a small project, and for one with links, which depends on more than its own files."""
    stamps, newest, size = hashlib.sha256(f"{_SCHEMA} {owner}".encode()), 0, 0
    for path in paths:
        status = os.lstat(f"{folder}/{path}")
        if stat.S_ISLNK(status.st_mode):
            return None
        newest, size = max(newest, status.st_mtime_ns, status.st_ctime_ns), size + status.st_size
        stamp = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        stamps.update(f"\0{path}\0{stamp}".encode(errors="surrogateescape"))
    return _FileStamps(stamps.hexdigest(), newest) if len(paths) >= _MANY or size >= _MUCH else None


def _load(folder: Path) -> _CachedArchive | None:
    try:
        return _CachedArchive(**json.loads((folder / "kept.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _store(folder: Path, archive: Path, cached: _CachedArchive) -> None:
    """It is a help and no more: a disk that is full costs the next launch time."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In this order: what is said of an archive is never said of another one.
        (folder / "kept.json").unlink(missing_ok=True)
        shutil.copyfile(archive, folder / "source.tar.gz")
        (folder / "kept.json").write_text(json.dumps(asdict(cached)))
