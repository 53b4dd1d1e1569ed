"""Subprocesses and signals."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from trainer.errors import Interrupted

_LOG = logging.getLogger(__name__)
_WAKE_S = 1
_deferred: list[int] | None = None


def capture(
    argv: Sequence[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str | None:
    """Standard output of a short program, or None when it is missing or fails."""
    _LOG.debug("%s", shlex.join(argv))
    try:
        done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, check=False)
    except OSError:
        return None
    # A file's name need not be text; this keeps it as it is.
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


def lines(
    argv: Sequence[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a program and yield its output (both streams, in order) line by line.

    Raises `subprocess.CalledProcessError` at the end if it failed, `FileNotFoundError` if it is missing.
    A consumer that stops early ends the program.
    """
    _LOG.debug("%s", shlex.join(argv))
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as program:
        if program.stdout is None:
            raise RuntimeError("the pipe asked for was not made")
        try:
            for line in program.stdout:
                yield line.decode(errors="replace").rstrip("\n")
        except BaseException:
            program.terminate()
            raise
        if program.wait() != 0:
            raise subprocess.CalledProcessError(program.returncode, argv)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    if _deferred is None:
        raise Interrupted(number)
    _deferred.append(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within: SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the main thread.

    After `nohup`, SIGHUP stays ignored.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, _on_signal) for number in numbers}
    try:
        with kept_interruptions(), awake():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def kept_interruptions() -> Iterator[None]:
    """Within: `Interrupted` leaves as itself.

    Raised in `threading.Condition` while its lock is released, it becomes the context of a `RuntimeError`:
    the `with` block releases a lock that is not held.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, Interrupted):
            raise error.__context__ from None
        raise


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Within: signals are heeded within a second, whatever the main thread waits for.

    Python hears of a signal that came just before it began to wait (for a line of output, say) when that wait
    ends, which may be never: so it is woken.
    """
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    timer = signal.setitimer(signal.ITIMER_REAL, _WAKE_S, _WAKE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def deferred_signals(*, drop: bool = False) -> Iterator[None]:
    """Within: a signal waits until the block is done, so that what it creates is also written down.

    With `drop` it is forgotten: the block is short, and there is nothing left to stop. Within another such
    block it waits until the outermost one is done.
    """
    global _deferred
    waiting: list[int] = []
    outer = _deferred
    before = len(outer or ())
    if outer is None:
        _deferred = []
    try:
        yield
    finally:
        if outer is None:
            waiting, _deferred = _deferred or [], None
        elif drop:
            del outer[before:]
    if waiting and not drop:
        raise Interrupted(waiting[0])


def raise_deferred() -> None:
    """Raises `Interrupted` for a signal that waits within `deferred_signals`, where that cannot go on."""
    if _deferred:
        raise Interrupted(_deferred[0])
