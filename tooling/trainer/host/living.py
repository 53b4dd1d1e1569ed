"""A process of this machine as it is known to others, who can ask whether it still lives."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path


@functools.cache
def _scope() -> str:
    """Where process numbers are what they are here: this boot of this machine, and its PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (the target is no path)
    except OSError:  # no Linux
        return ""
    return f"{boot}/{namespace}"


def this_process() -> str:
    """A text by which it is known. It begins no second time, whatever numbers later processes get."""
    number = os.getpid()
    return f"{_scope()} {number} {_began(number)}"


def is_alive(process: str) -> bool | None:
    """Whether it lives; None where that cannot be known: it is another machine's, or container's."""
    scope, _, rest = process.partition(" ")
    number, _, began = rest.partition(" ")
    if not scope or scope != _scope() or not number.isdecimal():
        return None
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return _began(int(number)) in ("", began)


def interrupt(process: str) -> bool:
    """Whether it lives, and was sent SIGINT. Raises `PermissionError` for another user's."""
    if not is_alive(process):
        return False
    try:
        os.kill(int(process.split()[-2]), signal.SIGINT)
    except ProcessLookupError:
        return False
    return True


def _began(number: int) -> str:
    """When it started, in ticks since the boot; empty where that is not to be seen, `-` of a zombie."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "-" if state in "ZX" else fields[18]
