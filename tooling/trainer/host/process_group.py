"""What the processes of a group use of this machine, as Linux's /proc says it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from trainer.host import cores

_PROC = Path("/proc")
# Fields of /proc/PID/stat behind the name, which may have blanks itself: see proc_pid_stat(5).
_GROUP, _TIMES, _PAGES = 2, slice(11, 15), 21


@dataclass(frozen=True)
class GroupUse:
    """Of all processes of a group together."""

    memory: int
    """Bytes; what several of them share counts for each."""
    cpu_seconds: float
    """With those of children that have ended."""


def use(group: int) -> GroupUse | None:
    """What the group uses now; None where it has no process, and where there is no /proc."""
    pages, ticks, processes = 0, 0, 0
    for path in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it may end meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[_GROUP]) == group:
                processes += 1
                pages += int(fields[_PAGES])
                ticks += sum(map(int, fields[_TIMES]))
    if not processes:
        return None
    return GroupUse(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


def bound_to(process: int) -> str:
    """The cores that the process is bound to, as `0-1,4`; empty where it may use all."""
    try:
        numbers = os.sched_getaffinity(process)
    except (AttributeError, OSError):  # no Linux; it has ended
        return ""
    return "" if len(numbers) == os.cpu_count() else cores.written(numbers)


def variable(process: int, name: str) -> str | None:
    """An environment variable that the process began with; None where it has none, or is not to be read."""
    try:
        variables = (_PROC / str(process) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    start = f"{name}=".encode()
    return next((os.fsdecode(text[len(start) :]) for text in variables if text.startswith(start)), None)
