"""File locks that the kernel gives back when their holder dies, so none is ever stale.

A lock is inherited by a child process that is handed its file descriptor, and is held until the last holder
is gone. That makes "is it still alive?" a question about a file, not about a process number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_TRIES, _PAUSE_S = 5, 0.01
_USED = "used"


class Lock:
    """A lock that this process holds: until the end of a `with` block of it, or until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def fileno(self) -> int:
        """The file descriptor, for a child process that is to hold it too. Raises `ValueError` afterwards."""
        if self._descriptor is None:
            raise ValueError("the lock is released")
        return self._descriptor

    def release(self) -> None:
        """Let go of it. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Lock:
        """The lock is held already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self.release()


def acquire(path: Path) -> Lock | None:
    """Take the lock, or None if another process holds it."""
    descriptor = _opened(path)
    # Somebody who only asks (`held`) is in the way for microseconds.
    for _ in range(_TRIES):
        if _lock(descriptor, fcntl.LOCK_EX):
            return Lock(descriptor)
        time.sleep(_PAUSE_S)
    os.close(descriptor)
    return None


def exclusive(path: Path) -> Lock:
    """Take the lock as soon as it is free. Waits for its turn."""
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return Lock(descriptor)


def held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # who may only read may ask, too
    try:
        # Shared: any number may ask at once without taking each other for a holder.
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Within: a new folder, which is removed at the end.

    It is locked, so that it is not taken for one that a killed process left.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as folder,
        exclusive(Path(folder) / _USED),
    ):
        yield Path(folder)


def is_used(folder: Path) -> bool:
    """Whether the process that made this temporary folder lives."""
    return held(folder / _USED)


def _opened(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
