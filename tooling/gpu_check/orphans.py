"""Processes that outlive their parents, such as a server that a section started: they end with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_PR_SET_PDEATHSIG = 1
_PATIENCE_S = 3.0


def adopt() -> None:
    """From now on this process is the parent of every descendant whose own parent has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """End this process when its parent does, by whatever signal."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_all(spared: Collection[int] = ()) -> None:
    """End the descendants of this process but those: with SIGTERM, and with SIGKILL after a moment."""
    give_up = time.monotonic() + _PATIENCE_S
    number = signal.SIGTERM
    while pids := [pid for pid in descendants() if pid not in spared]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.1)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):  # of a process below us, or gone
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > give_up:
            number = signal.SIGKILL


def descendants() -> list[int]:
    """The processes below this one that have not ended."""
    children: dict[int, list[int]] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name of the program, in parentheses, may have any characters.
                state, parent = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state != "Z":
                    children.setdefault(int(parent), []).append(int(process.name))
    pids, waiting = list[int](), [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        pids += below
        waiting += below
    return pids
