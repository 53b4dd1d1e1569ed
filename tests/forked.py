"""`trainer`, forked from a process that has imported it and done nothing else.

Tests call it a thousand times, and most of a command's time is spent on importing. A child has what an
interpreter of its own would have: arguments, environment, folder, umask, streams, signals, and no other open
file. What Python reads from the environment as it starts is the parent's; where a test says otherwise, and in
the tests of the installed program, it is a new interpreter.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

_STARTS_WITH = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC_", "GCONV_PATH")
_LIBRARIES = "docker requests rich.console rich.progress rich.table tarfile traceback uuid"
_PACKAGES = "backends cli engine maintenance plan runs server source tracking workspace"
_PROGRAMS = ("asgi", "ask_server")
_REQUEST = 1 << 20


class Trainer(subprocess.Popen[str]):
    """A call of `trainer`: a `Popen` in all that a test can do with it."""

    def __init__(self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._report: socket.socket
        command = [sys.executable, "-m", "trainer", *arguments]
        pipe = subprocess.PIPE
        super().__init__(command, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)

    def _execute_child(self, args: list[str], *rest: object) -> None:
        cwd, environment = cast(Path, rest[4]), dict(cast(Mapping[str, str], rest[5]))
        read_in, write_in, read_out, out, read_err, err = cast(tuple[int, ...], rest[9:15])
        umask = os.umask(0o077)
        os.umask(umask)
        job = {"argv": args[2:], "cwd": str(cwd), "environment": environment, "umask": umask}
        self._report, theirs = socket.socketpair()
        descriptors = [0 if read_in == -1 else read_in, out, err, theirs.fileno()]
        try:
            socket.send_fds(_parent().control, [json.dumps(job).encode()], descriptors)
        finally:
            theirs.close()
            self._close_pipe_fds(read_in, write_in, read_out, out, read_err, err)  # type: ignore[attr-defined]
        self.pid = self._reported()
        self._child_created = True

    def _reported(self) -> int:
        said = self._report.recv(8, socket.MSG_WAITALL)
        assert len(said) == 8, "the process that forks, or the one that waits, has gone"
        return int.from_bytes(said, "little")

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        self._report.setblocking(not wait_flags & os.WNOHANG)
        try:
            return self.pid, self._reported()
        except BlockingIOError:
            return 0, 0

    def _internal_poll(self, *_: object, **__: object) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode


def start(arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start `trainer ARGUMENTS` with that environment; its output and errors are pipes."""
    if _of_python(env) == _parent().environment:
        return Trainer(arguments, cwd, env)
    command = [sys.executable, "-m", "trainer", *arguments]
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_STARTS_WITH)}


@dataclass(frozen=True)
class Parent:
    """The process that forks: where it takes requests, and what its interpreter has of the environment."""

    control: socket.socket
    environment: dict[str, str]


@functools.cache
def _parent() -> Parent:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST)
    with theirs:
        number = theirs.fileno()
        subprocess.Popen([sys.executable, __file__, str(number)], pass_fds=[number], cwd="/")
    return Parent(ours, _of_python(os.environ))


def _load() -> None:
    """Import what the commands import that tests call most; not numpy, which starts threads."""
    import trainer

    for name in _LIBRARIES.split():
        importlib.import_module(name)
    for module in pkgutil.walk_packages(trainer.__path__, "trainer."):
        if module.name.split(".")[1] in _PACKAGES.split() and not module.name.endswith(_PROGRAMS):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def _check_that_it_can_be_forked(control: int) -> None:
    files = {int(file.name) for file in Path("/proc/self/fd").iterdir()}
    assert {0, 1, 2, control} < files
    assert len(files) == 5, files  # one is the folder that is listed
    assert len(list(Path("/proc/self/task").iterdir())) == 1 == threading.active_count()


def _forked(control: socket.socket) -> tuple[dict[str, object], list[int]]:
    """Fork for each request; returns in the children only."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _REQUEST, 4)
        if not message:
            os._exit(0)  # the tests have ended
        if not os.fork():
            break
        for number in descriptors:
            os.close(number)
        while _reaped():
            pass
    control.close()
    # This one waits for the child, as its parent, and says how it ended.
    if pid := os.fork():
        for number in descriptors[:3]:
            os.close(number)
        os.closerange(0, 3)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        report = descriptors[3]
        os.write(report, pid.to_bytes(8, "little"))
        _, status = os.waitpid(pid, 0)
        os.write(report, status.to_bytes(8, "little"))
        os._exit(0)
    return json.loads(message), descriptors


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _become(job: dict[str, object], descriptors: list[int]) -> None:
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    cwd, environment = cast(str, job["cwd"]), cast(dict[str, str], job["environment"])
    os.umask(cast(int, job["umask"]))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["trainer", *cast(list[str], job["argv"])[1:]]
    sys.path[0] = cwd


if __name__ == "__main__":
    _control = socket.socket(fileno=int(sys.argv[1]))
    _load()
    _check_that_it_can_be_forked(_control.fileno())
    _become(*_forked(_control))
    # From here on it is `python -m trainer`, and ends as an interpreter ends.
    from trainer.cli.main import main

    main()
