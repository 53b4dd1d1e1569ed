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

from trainer import locks
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
class _Look:
    """What can be told of files without reading them. `newest`: the last change of any of them, in ns."""

    stamps: str
    newest: int


@dataclass(frozen=True)
class _Kept:
    """What is known of the archive beside it. `begun`: when its files were looked at, in ns."""

    stamps: str
    begun: int
    digest: str


def pack(workspace: Workspace, folder: Path, archive: Path, *, uid: int, gid: int) -> Packed:
    """As `snapshot.pack`, which is spared where nothing changed since the last launch."""
    begun = time.time_ns()
    paths = snapshot.files(folder)
    seen = None if folder.is_relative_to(workspace.state) else _look(folder, paths, f"{uid} {gid}")
    if seen is None:
        return Packed(snapshot.pack(folder, archive, uid=uid, gid=gid, paths=paths))
    place = _place(workspace, key(folder))
    with locks.exclusive(place.with_suffix(".lock")):
        before = _load(place)
        if before and before.stamps == seen.stamps and seen.newest < before.begun - _TICK_NS:
            with contextlib.suppress(OSError):
                shutil.copyfile(place / "source.tar.gz", archive)
                os.utime(place)  # `trainer gc` goes by it
                return Packed(before.digest, is_repeated=True)
        packed = snapshot.pack(folder, archive, uid=uid, gid=gid, paths=paths)
        _keep(place, archive, _Kept(seen.stamps, begun, packed))
    return Packed(packed, is_repeated=before is not None and before.digest == packed)


def key(folder: Path) -> str:
    """What a project's code is kept under."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def digest(place: Path) -> str | None:
    """Of the code that is kept in one of `folders`."""
    kept = _load(place)
    return kept.digest if kept else None


def folders(workspace: Workspace) -> list[Path]:
    """Where archives are kept, each named by its project's key, and last used when it was changed."""
    return sorted(path.parent for path in _place(workspace, "").glob("*/kept.json"))


def _place(workspace: Workspace, name: str) -> Path:
    return workspace.state / "code" / name


def _look(folder: Path, paths: Sequence[Path], owner: str) -> _Look | None:
    """None for a small project, and for one with links, which depends on more than its own files."""
    stamps, newest, size = hashlib.sha256(f"{_SCHEMA} {owner}".encode()), 0, 0
    for path in paths:
        said = os.lstat(f"{folder}/{path}")
        if stat.S_ISLNK(said.st_mode):
            return None
        newest, size = max(newest, said.st_mtime_ns, said.st_ctime_ns), size + said.st_size
        stamp = (said.st_mode, said.st_size, said.st_mtime_ns, said.st_ctime_ns, said.st_ino)
        stamps.update(f"\0{path}\0{stamp}".encode(errors="surrogateescape"))
    return _Look(stamps.hexdigest(), newest) if len(paths) >= _MANY or size >= _MUCH else None


def _load(place: Path) -> _Kept | None:
    try:
        return _Kept(**json.loads((place / "kept.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _keep(place: Path, archive: Path, kept: _Kept) -> None:
    """It is a help and no more: a disk that is full costs the next launch time."""
    with contextlib.suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In this order: what is said of an archive is never said of another one.
        (place / "kept.json").unlink(missing_ok=True)
        shutil.copyfile(archive, place / "source.tar.gz")
        (place / "kept.json").write_text(json.dumps(asdict(kept)))
