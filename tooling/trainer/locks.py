"""File locks that the kernel gives back when their holder dies, so none is ever stale.

A lock is inherited by a child process that is handed its file descriptor, and is held until the last holder
is gone. That makes "is it still alive?" a question about a file, not about a process number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def acquire(path: Path) -> int | None:
    """Take the lock at once and return its file descriptor, or None when somebody holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    if not path.exists():
        return False
    descriptor = acquire(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


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
