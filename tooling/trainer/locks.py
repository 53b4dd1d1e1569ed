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


def acquire(path: Path) -> int | None:
    """Take the lock and return its file descriptor, or None when somebody holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # Somebody who only asks (`held`) is in the way for microseconds.
    for _ in range(_TRIES):
        if _lock(descriptor, fcntl.LOCK_EX):
            return descriptor
        time.sleep(_PAUSE_S)
    os.close(descriptor)
    return None


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


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Within: a new folder that nobody takes for a killed process's. It is removed at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as place:
        lock = acquire(Path(place) / _USED)
        try:
            yield Path(place)
        finally:
            if lock is not None:
                os.close(lock)


def is_used(folder: Path) -> bool:
    """Whether the process that made this temporary folder lives."""
    return held(folder / _USED)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Within: nobody else is within the same block. Waits for its turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
