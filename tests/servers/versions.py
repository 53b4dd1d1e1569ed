"""MLflow servers of other versions, each in an environment of its own; uv makes it of pinned requirements."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import requests
import uv

NEWEST = version("mlflow")
OLDEST = "2.9.2"
VERSIONS = (OLDEST, "2.22.1", "3.1.4", "3.5.1", NEWEST)
STORES = ("SQLite", "PostgreSQL")
ALWAYS = ((OLDEST, "PostgreSQL"), ("2.22.1", "SQLite"), (NEWEST, "SQLite"))
"""Those that every test run has; the others take `make test-servers`. test_classic has 2.22 on PostgreSQL."""
TOO_OLD = "1.30.1"
REQUIREMENTS = Path(__file__).parent / "requirements"
_START_S = 120


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    version: str
    uri: str

    @property
    def has_logged_models(self) -> bool:
        return not self.version.startswith("2.")


def python(version: str) -> Path:
    """The interpreter of an environment that has this MLflow; making one takes a minute, once."""
    if version == NEWEST:
        return Path(sys.executable)
    requirements = REQUIREMENTS / f"{version}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    places = Path(os.environ.get("TRAINER_TEST_SERVERS") or Path.home() / ".cache" / "trainer-test-servers")
    places.mkdir(parents=True, exist_ok=True)
    path = places / f"{version}-{digest}"
    with (places / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path / "complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            _uv("venv", "--python", "3.11", "--no-python-downloads", str(path))  # the oldest ones' newest
            _uv("pip", "install", "--no-deps", "--python", str(path), "--requirement", str(requirements))
            (path / "complete").touch()
    return path / "bin" / "python"


def _uv(*arguments: str) -> None:
    done = subprocess.run([uv.find_uv_bin(), "--quiet", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(version: str, folder: Path, *, database: str = "", root: str = "") -> Iterator[Running]:
    """A server for this machine and its containers, with a database and artifacts in the folder.

    `database` is the URL of another one; `root` is where clients store artifacts themselves.
    """
    interpreter = python(version)
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    command = [
        str(interpreter.with_name("mlflow")), "server", "--workers", "1", "--host", "0.0.0.0",
        "--port", str(port), "--backend-store-uri", database or f"sqlite:///{folder}/mlflow.db",
    ]  # fmt: skip
    if root:
        command += ["--no-serve-artifacts", "--default-artifact-root", root]
    else:
        command += ["--artifacts-destination", str(folder / "artifacts")]
        if version == TOO_OLD:
            command.append("--serve-artifacts")
    if version == NEWEST or version.startswith("3.5"):
        names = ("host.docker.internal", "localhost", "127.0.0.1")
        command += ["--allowed-hosts", ",".join(f"{name}:{port}" for name in names)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {
        "PATH": f"{interpreter.parent}:{os.environ['PATH']}",  # it starts gunicorn by its name
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}", folder / "log")
        yield Running(version, f"http://127.0.0.1:{port}")
    finally:
        with suppress(ProcessLookupError):  # one that did not start
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], uri: str, log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{uri}/health", timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.3)
    raise AssertionError(log.read_text())
