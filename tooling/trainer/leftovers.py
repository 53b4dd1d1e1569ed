"""What can be removed because nobody needs it any more: each owner of such things offers its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KILLED = "what made it was killed"
AT_WORK_S = 3600  # whoever makes something writes to it within that time, or holds a lock


@dataclass(frozen=True)
class Leftover:
    """Something that can go. `name` is a run's id, a path, a container, a tag or a part of a cache."""

    kind: str
    name: str
    size: int
    """Bytes; of an image with what it shares with others."""
    why: str


@dataclass(frozen=True)
class Leftovers:
    """What one owner does not need any more."""

    found: tuple[Leftover, ...]
    remove: Callable[[Sequence[Leftover]], Iterator[Leftover]]
    """Remove these; yields each that is gone. What is in use meanwhile stays."""
    notes: tuple[str, ...] = ()
    """A line for whatever could not be looked at, or is left alone."""


def each(items: Iterable[Leftover], remove: Callable[[Leftover], bool]) -> Leftovers:
    """Leftovers that are removed one by one; `remove` says whether it is gone."""
    return Leftovers(tuple(items), lambda wanted: (leftover for leftover in wanted if remove(leftover)))


def paths(items: Iterable[Leftover]) -> Leftovers:
    """Leftovers that are files and folders of this machine, by their paths."""
    return each(items, _remove_path)


def nothing(*notes: str) -> Leftovers:
    """No leftovers, and why."""
    return Leftovers((), iter, notes)


def size(folder: Path) -> int:
    """Of what is in the folder, in bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def days(since: float) -> float:
    """How long that is ago; `since` is in seconds since 1970."""
    return (time.time() - since) / 86400


def may_be_in_use(written: float) -> bool:
    """Whether somebody may be at work on what was last written then, in seconds since 1970."""
    return time.time() - written <= AT_WORK_S


def _remove_path(leftover: Leftover) -> bool:
    path = Path(leftover.name)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return True
