"""Copying files of one dataset into a new one: as copies, as clones that share blocks, or as hard links."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from trainer import atomic_files
from trainer.datasets import Report, inside, silent
from trainer.datasets.build import building
from trainer.datasets.names import folded
from trainer.errors import InvalidInput

Link = Literal["copy", "reflink", "hard"]
# <linux/fs.h>: the new file shares the old one's blocks until one of them is written.
_FICLONE = 0x40049409
_CANNOT = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EMLINK}


@dataclass(frozen=True)
class File:
    """A file to copy: its place below the source, its place below the target, and what it is like now."""

    source: PurePosixPath
    target: PurePosixPath
    bytes: int
    changed_ns: int


@dataclass(frozen=True)
class Copies:
    """A plan: files of `source` that make up a new dataset."""

    source: Path
    files: tuple[File, ...]
    link: Link = "copy"

    @property
    def bytes(self) -> int:
        """All files together."""
        return sum(file.bytes for file in self.files)

    def identity(self) -> dict[str, object]:
        """What tells this plan from any other, for `building`."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.source}\0{file.target}\0{file.bytes}\0{file.changed_ns}\n".encode())
        facts = {"source": str(self.source.resolve()), "link": self.link, "files": len(self.files)}
        return {"copies": {**facts, "sha256": digest.hexdigest()}}

    def check(self, target: Path) -> None:
        """Raises `InvalidInput` where `make` would for a reason that can be known now. Changes nothing."""
        if target.resolve().is_relative_to(self.source.resolve()):
            raise InvalidInput(f"{target} would lie inside of {self.source}.", "Choose a place beside it.")
        building.check(target, self.identity())
        existing = next(folder for folder in target.parents if folder.exists())
        needed, free = self._missing(building.workplace(target) / "files"), shutil.disk_usage(existing).free
        if self.link == "copy" and needed > free:
            raise InvalidInput(
                f"The copy takes {size(needed)} more, and {existing} has {size(free)} free.",
                "Free some space, or share it with the source: --link reflink or --link hard",
            )

    def make(self, target: Path, report: Report = silent) -> None:
        """Make the new dataset; see `building.build`. Times and permissions of files are kept."""
        self.check(target)
        building.build(target, self.identity(), lambda folder: self._fill(folder, report))

    def _fill(self, folder: Path, report: Report) -> None:
        for done, file in enumerate(self.files, start=1):
            path = folder / file.target
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                put(self.source / file.source, path, self.link)
            report("Copying" if self.link == "copy" else "Linking", done, len(self.files))

    def _missing(self, folder: Path) -> int:
        if not folder.exists():
            return self.bytes
        return sum(file.bytes for file in self.files if not (folder / file.target).exists())


def files(root: Path, places: Iterable[tuple[PurePosixPath, PurePosixPath]]) -> tuple[File, ...]:
    """Pairs of old and new place as files to copy.

    Raises `InvalidInput` for one that cannot be read, for one that a link brings in from outside of `root`,
    and for two whose new names are one on a file system without case, where the second would replace the
    first.
    """
    copies = []
    parents: set[Path] = set()
    taken: dict[PurePosixPath, PurePosixPath] = {}
    for source, target in places:
        path = root / source
        if path.is_symlink() or path.parent not in parents:
            parents.add(path.parent)
            inside.check(root, path)
        _check_name(taken, target)
        try:
            stat = path.stat()
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}.", "Fix or remove it.") from None
        if not os.access(path, os.R_OK):
            raise InvalidInput(f"{path} cannot be read: you have no permission.", f"chmod u+r '{path}'")
        copies.append(File(source, target, stat.st_size, stat.st_mtime_ns))
    return tuple(copies)


def _check_name(taken: dict[PurePosixPath, PurePosixPath], target: PurePosixPath) -> None:
    for path in (target, *target.parents[:-1]):
        key = PurePosixPath(*map(folded, path.parts))
        if taken.setdefault(key, path) != path:
            raise InvalidInput(
                f"{taken[key]} and {path} are one name where case does not count, as on macOS and Windows.",
                "Rename one of them; nothing was copied.",
            )


def size(count: int) -> str:
    """`1.4 GB`, as `df -H` counts."""
    if count < 1000:
        return f"{count} B"
    power = min((len(str(count)) - 1) // 3, 4)
    return f"{count / 1000**power:.1f} {' kMGT'[power]}B"


def put(source: Path, target: Path, link: Link) -> None:
    """Have the file at `target`, which is not there, or not at all.

    Raises `InvalidInput`.
    """
    unfinished = atomic_files.beside(target)
    unfinished.unlink(missing_ok=True)
    try:
        if link == "hard":
            os.link(source.resolve(), unfinished)
        elif link == "reflink":
            _clone(source, unfinished)
        else:
            shutil.copyfile(source, unfinished)
        if link != "hard":
            shutil.copystat(source, unfinished)
        atomic_files.rename(unfinished, target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        if link != "copy" and error.errno in _CANNOT:
            how = "hard links" if link == "hard" else "clones (reflinks)"
            raise InvalidInput(
                f"There can be no {how} from {source.parent} to there: {error.strerror}.",
                "Leave --link away, for copies."
                + ("" if link == "hard" else " Clones need one Btrfs or XFS file system for both."),
            ) from None
        raise InvalidInput(
            f"{source} could not be copied: {error.strerror}.",
            "Fix the cause, then run the same command again: it continues from here.",
        ) from None


def _clone(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        fcntl.ioctl(new, _FICLONE, old.fileno())
