"""The processes that a trial leaves, and those of them that the kernel killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

from .soundness import Refused

_POLL_S = 0.01
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Be the parent of what an order leaves behind, whatever its session is. Raises `Refused`."""
    if not _own_children().exists():
        raise Refused("the kernel does not say which processes a trial has left")
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise Refused(f"processes cannot be adopted: {os.strerror(ctypes.get_errno())}")


def _own_children() -> Path:
    return Path(f"/proc/self/task/{os.getpid()}/children")


def kill_all() -> None:
    """Again and again, until there are none: what a process leaves is adopted when it ends."""
    while left := _own_children().read_text().split():
        for process in map(int, left):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, os.WNOHANG)
        time.sleep(_POLL_S)


def out_of_memory() -> int:
    """How many processes of the container were killed for want of memory."""
    # Of version 2 of control groups, and of version 1.
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError):
            for line in Path(path).read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    return 0
