"""Takes orders, and has a process for each."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
import warnings
from pathlib import Path

from . import descendants
from .soundness import Imported, Refused, check, check_script
from .trial import HANDLED, Order

_POLL_S = 0.01
_HOLDER_S = 1.0
_GRACE_S = 5.0
_OF_SIGNALS = 128


class Server:
    """Takes orders until nobody gives any."""

    def __init__(
        self, exchange: Path, imported: Imported, home: Path, template: Path, *emptied: Path
    ) -> None:
        self._exchange, self._imported = exchange, imported
        self._home, self._template, self._emptied = home, template, emptied
        shutil.copytree(home, self._template, symlinks=True, dirs_exist_ok=True)
        self._signal: int | None = None
        for number in HANDLED:
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: object) -> None:
        self._signal = number

    def serve(self) -> Order | None:
        """None when it is over; the order in the process that was forked for it."""
        held_until = time.monotonic() + _HOLDER_S
        while self._signal is None:
            order = self._next()
            if order is not None:
                try:
                    if self._run(order):
                        return order
                except Refused as why:
                    self._write("refused", str(why))
                held_until = time.monotonic() + _HOLDER_S
            elif time.monotonic() > held_until:
                if not self._is_held():
                    break
                held_until = time.monotonic() + _HOLDER_S
            time.sleep(_POLL_S)
        return None

    def _next(self) -> Order | None:
        path = self._exchange / "order"
        try:
            order = Order(**json.loads(path.read_text("utf-8")))
            path.unlink()
        except FileNotFoundError:
            return None
        return order

    def _is_held(self) -> bool:
        try:
            with (self._exchange / "held").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _run(self, order: Order) -> bool:
        """Whether this is the process that was forked."""
        check(self._imported)
        check_script(Path(order.script).resolve(), self._imported)
        self._clear()
        self._write("accepted", "")
        self._wait_for_go()
        killed = descendants.out_of_memory()
        # Until it has handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that threads are lost: it is checked which there are
            process = os.fork()
        if process == 0:
            return True
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        code = self._wait(process)
        descendants.kill_all()
        if descendants.out_of_memory() > killed:
            self._write("oom", "")
        sent = self._sent()
        if code > _OF_SIGNALS and sent is None:
            _add_to(self._exchange / "output", code - _OF_SIGNALS)
        self._write("result", f"{code} {sent or ''}\n")
        return False

    def _wait_for_go(self) -> None:
        look = time.monotonic() + _HOLDER_S
        while not self._is_there("go"):
            if self._signal is not None or self._is_there("stop"):
                raise Refused("it was withdrawn")
            if time.monotonic() > look:
                if not self._is_held():  # then there will be no `go`
                    raise Refused("who gave the order is gone")
                look = time.monotonic() + _HOLDER_S
            time.sleep(_POLL_S)

    def _sent(self) -> int | None:
        """The signal that all of it is to end by."""
        return signal.SIGINT if self._signal is None and self._is_there("stop") else self._signal

    def _wait(self, process: int) -> int:
        """Its exit code, 128 + n for signal n."""
        deadline: float | None = None
        while True:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else _OF_SIGNALS - code
            if deadline is None and (sent := self._sent()) is not None:
                deadline = time.monotonic() + _GRACE_S
                _signal_group(process, sent)
            elif deadline is not None and time.monotonic() > deadline:
                _signal_group(process, signal.SIGKILL)
            time.sleep(_POLL_S)

    def _clear(self) -> None:
        """Remove what an earlier process has left: the next finds what the first one has found."""
        for folder in (*self._emptied, self._home):
            _empty(folder)
        shutil.copytree(self._template, self._home, symlinks=True, dirs_exist_ok=True)

    def _is_there(self, name: str) -> bool:
        return (self._exchange / name).exists()

    def _write(self, name: str, text: str) -> None:
        write(self._exchange / name, text)


def write(path: Path, text: str) -> None:
    """Write a file that appears as a whole."""
    new = path.with_name(f".{path.name}")
    new.write_text(text, "utf-8", errors="replace")
    new.rename(path)


def _empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    entry.unlink()


def _add_to(output: Path, number: int) -> None:
    """What sh says of a command that a signal has ended."""
    if number not in (signal.SIGINT, signal.SIGPIPE):
        descriptor = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        os.write(descriptor, f"{signal.strsignal(number)}\n".encode())
        os.close(descriptor)


def _signal_group(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, number)
    with contextlib.suppress(ProcessLookupError):  # it may not lead a group yet
        os.kill(process, number)
