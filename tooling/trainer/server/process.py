"""The workspace's own tracking server: one process, started on demand and left running.

It listens on 127.0.0.1 and, where containers need it, on the address that the host has on Docker's bridge;
it answers nobody else, and asks for a password. Database and artifacts are in the workspace's mlruns/ folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trainer import locks, logs, progress
from trainer.engine.bridge import Bridge
from trainer.errors import TrackingError
from trainer.server import ports, store_archive
from trainer.tracking.endpoint import CONTAINER_HOST, Server
from trainer.workspace import run_folders, server_password
from trainer.workspace.settings import Workspace

IDENTITY_HEADER = "x-trainer-workspace"
START_S = 90
STARTING = "Starting the tracking server"
STOP_S = 10
_FORM = 1  # of the process; 0 is one of an earlier trainer, which asked for no password
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """What is written down about the server that was started last."""

    pid: int
    port: int
    bridge: Bridge | None
    form: int = _FORM
    password: str | None = field(default=None, repr=False)

    @property
    def server(self) -> Server:
        """The server as a client sees it."""
        username = server_password.USERNAME if self.password else None
        return Server(f"http://127.0.0.1:{self.port}", username, self.password)

    def written(self) -> str:
        """All but the password, as JSON."""
        payload = asdict(self)
        del payload["password"]
        return json.dumps(payload)


def log_file(workspace: Workspace) -> Path:
    """Where the server's own output goes."""
    return workspace.state / "server.log"


def running(workspace: Workspace) -> State | None:
    """The state of the server if its process lives, else None."""
    if not locks.held(_alive(workspace)):
        return None
    return _read_state(workspace)


def begin(workspace: Workspace, bridge: Bridge | None = None, port: int | None = None) -> Server:
    """See to it that the server runs or is on its way; `wait` says when it answers.

    A server that does not listen on `bridge` yet is restarted on the same port, or on `port` or the next
    free one if that is given; clients retry meanwhile. So is one of an earlier trainer, unless runs report to
    it that were told no password.
    Any number of callers at once start one server.
    """
    if bridge and not ports.is_own_address(bridge.gateway):
        bridge = None  # the engine runs in a virtual machine, which brings containers to our loopback
    try:
        with locks.exclusive(workspace.state / "server.lock"):
            state = running(workspace)
            if state and _suits(workspace, state, bridge, port):
                _LOG.info("Tracking server: the workspace's own, which runs at %s", state.server.uri)
                return state.server
            _LOG.info(
                "Tracking server: the workspace's own, which is %s", "restarted" if state else "started"
            )
            if state:
                _stop(workspace, state)
            return _start(workspace, bridge, port).server
    except OSError:  # a workspace that this user may only read
        state = running(workspace)
        if state and _suits(workspace, state, bridge, port):
            return state.server
        raise


def _suits(workspace: Workspace, state: State, bridge: Bridge | None, port: int | None) -> bool:
    """Whether the server that runs can stay as it is."""
    is_there = (bridge is None or state.bridge == bridge) and port in (None, state.port)
    return is_there and _may_stay(workspace, state)


def is_own(workspace: Workspace, chosen: Server) -> bool:
    """Whether that is this workspace's own server: by its address, and by its password too if it is down."""
    state = _read_state(workspace)
    if state is None or state.server.uri != chosen.uri:
        return False
    return running(workspace) is not None or (state.password or "") == chosen.password


def _may_stay(workspace: Workspace, state: State) -> bool:
    return (state.form == _FORM and state.password is not None) or bool(run_folders.live(workspace))


def wait(workspace: Workspace, server: Server) -> None:
    """Return when the server answers; raises `TrackingError` with the end of its log if it does not."""
    if answers(workspace, server, within_s=0.3):  # it ran already: nobody is told of a wait
        return
    deadline = time.monotonic() + START_S
    with progress.waiting(STARTING):
        while time.monotonic() < deadline:
            if answers(workspace, server):
                return
            if (state := running(workspace)) and _is_suspended(state.pid):
                raise TrackingError(
                    f"The workspace's tracking server (process {state.pid}) is suspended by a signal.",
                    f"Let it go on: kill -CONT {state.pid}",
                )
            if not locks.held(_alive(workspace)):
                break
            time.sleep(0.1)
    log = log_file(workspace)
    log_lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    if locks.held(_alive(workspace)):  # what it logged last is not the cause
        why = f"it gives no answer for {START_S} s."
    else:
        why = next((line.strip() for line in reversed(log_lines) if line.strip()), "it was killed.")
    raise TrackingError(f"The workspace's tracking server did not start: {why}", f"See {log}")


def answers(workspace: Workspace, server: Server, within_s: float = 5) -> bool:
    """Whether this workspace's own server answers at that address."""
    import requests

    with contextlib.suppress(requests.RequestException), requests.Session() as session:
        logs.answers_to(session, _LOG)
        session.trust_env = False  # a proxy does not know this machine's loopback
        health = session.get(f"{server.uri}/health", timeout=within_s)
        return health.ok and health.headers.get(IDENTITY_HEADER) == workspace.identity
    return False


def output(workspace: Workspace, lines: int, follow: bool = False) -> Iterator[str]:
    """The last `lines` of its log, and with `follow` what is added while it lives."""
    log = log_file(workspace)
    if not log.exists():
        return
    with log.open(encoding="utf-8", errors="replace") as file:
        yield from (line.rstrip("\n") for line in deque(file, maxlen=lines))
        while follow and locks.held(_alive(workspace)):
            if line := file.readline():
                yield line.rstrip("\n")
            else:
                time.sleep(0.2)


def down(workspace: Workspace) -> bool:
    """Stop the server; False if none ran. Runs and artifacts stay."""
    with locks.exclusive(workspace.state / "server.lock"):
        state = running(workspace)
        if state:
            _stop(workspace, state)
        return state is not None


def _is_suspended(pid: int) -> bool:
    """Whether a signal has stopped the process until another one. False on a system without /proc."""
    try:
        # The name of the program, in parentheses, may have any character.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


def _alive(workspace: Workspace) -> Path:
    return workspace.state / "server.alive"


def _state_file(workspace: Workspace) -> Path:
    return workspace.state / "server.json"


def _read_state(workspace: Workspace) -> State | None:
    try:
        payload = json.loads(_state_file(workspace).read_text())
        bridge = Bridge(**payload["bridge"]) if payload["bridge"] else None
        return State(
            payload["pid"], payload["port"], bridge, payload.get("form", 0), server_password.known(workspace)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _start(workspace: Workspace, bridge: Bridge | None, port_wanted: int | None) -> State:
    _make_private(workspace)
    store_archive.finish(workspace.store)
    before = _read_state(workspace)
    usual_port = before.port if before else workspace.settings.server_port
    sockets, port = ports.listen(port_wanted or usual_port, bridge)
    alive = locks.acquire(_alive(workspace))
    if alive is None:  # a server that lost its state file: it cannot be told from a stranger's
        raise TrackingError(
            "This workspace's tracking server runs, but its state file is gone.",
            f"End the process that holds {_alive(workspace)}, then try again: fuser -k {_alive(workspace)}",
        )
    password = server_password.make(workspace)
    descriptors = [sock.fileno() for sock in sockets]
    # Nothing of this process's tracking settings or secrets is the server's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with log_file(workspace).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer.server.asgi", str(workspace.store), workspace.identity,
             str(server_password.file(workspace)),
             ",".join(map(str, descriptors)), ",".join(_hosts(port, bridge)),
             ",".join(["127.0.0.0/8"] + ([bridge.subnet] if bridge else []))],
            pass_fds=[*descriptors, alive.fileno()], start_new_session=True, env=environment,
            cwd=workspace.store, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    alive.release()
    for sock in sockets:
        sock.close()
    state = State(process.pid, port, bridge, password=password)
    _state_file(workspace).write_text(state.written())
    return state


def _make_private(workspace: Workspace) -> None:
    """Folders with mode 700; earlier versions made them readable for everybody."""
    (workspace.store / "artifacts").mkdir(parents=True, exist_ok=True)
    for folder in (workspace.state, workspace.store):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    for file in workspace.store.glob("mlflow.db*"):
        file.chmod(0o600)


def _hosts(port: int, bridge: Bridge | None) -> list[str]:
    names = ["localhost", "127.0.0.1", CONTAINER_HOST] + ([bridge.gateway] if bridge else [])
    return [f"{name}:{port}" for name in names]


def _stop(workspace: Workspace, state: State) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pid, number)
        deadline = time.monotonic() + STOP_S
        while locks.held(_alive(workspace)) and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(state.pid, os.WNOHANG)
            time.sleep(0.05)
        if not locks.held(_alive(workspace)):
            return
    raise TrackingError(f"The tracking server (process {state.pid}) does not stop.", f"kill -9 {state.pid}")
