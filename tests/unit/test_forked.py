"""A `trainer` that tests fork is like one that a shell starts."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import forked
import pytest

Start = Callable[[list[str], Path, Mapping[str, str]], "subprocess.Popen[str]"]


def executed(arguments: list[str], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments], cwd=cwd, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def environment(server: socket.socket, **more: str) -> dict[str, str]:
    return {
        **os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.getsockname()[1]}",
        "MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "pass", **more,
    }  # fmt: skip


def looked_at(process: subprocess.Popen[str]) -> dict[str, object]:
    """What the kernel says of it."""
    place = Path(f"/proc/{process.pid}")
    status = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines())
    opened = {int(file.name): str(file.readlink()).split(":")[0] for file in (place / "fd").iterdir()}
    names = ("Uid", "Groups", "Umask", "SigBlk", "SigIgn", "SigCgt", "NSpgid", "NSsid", "Threads")
    return {name: status[name] for name in names} | {
        "cwd": (place / "cwd").readlink(), "opened": opened, "limits": (place / "limits").read_text(),
    }  # fmt: skip


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_what_a_process_is(silent: socket.socket, workspace_folder: Path) -> None:
    seen = []
    for start in (executed, forked.start):
        process = start(["runs"], workspace_folder, environment(silent))
        connection, _ = silent.accept()
        with connection:
            asked = connection.recv(65536).decode()
            seen.append(looked_at(process))
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
        assert f"Basic {base64.b64encode(b'ada:pass').decode()}" in asked
    assert seen[0] == seen[1]
    assert isinstance(process, forked.Trainer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_how_a_signal_ends_it(silent: socket.socket, workspace_folder: Path, number: signal.Signals) -> None:
    ends = []
    for start in (executed, forked.start):
        process = start(["runs"], workspace_folder, environment(silent))
        connection, _ = silent.accept()
        with connection:
            connection.recv(65536)
            assert process.poll() is None
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        ends.append((process.returncode, out, err))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("arguments", ["--version", "images --json", "runs --no-such-option", "gc"])
def test_what_it_says(workspace_folder: Path, arguments: str) -> None:
    said = []
    for start in (executed, forked.start):
        process = start(arguments.split(), workspace_folder, os.environ)
        out, err = process.communicate(timeout=60)
        said.append((process.returncode, out, err))
    assert said[0] == said[1]


def test_one_for_which_python_starts_in_another_way_is_not_forked(workspace_folder: Path) -> None:
    process = forked.start(["--version"], workspace_folder, {**os.environ, "PYTHONUTF8": "0"})
    assert process.communicate(timeout=60)[0].startswith("trainer")
    assert type(process) is subprocess.Popen


def test_waiting_for_it_has_an_end(silent: socket.socket, workspace_folder: Path) -> None:
    process = forked.start(["runs"], workspace_folder, environment(silent))
    connection, _ = silent.accept()
    with connection, pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.1)
    process.kill()
    assert process.communicate(timeout=60)[0] == ""


@pytest.fixture
def workspace_folder(tmp_path: Path) -> Path:
    (tmp_path / "trainer.yaml").touch()
    (tmp_path / "trainer_images").mkdir()
    return tmp_path
