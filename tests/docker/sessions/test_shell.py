"""`trainer shell` on the real engine: a container as a run has it, and nothing left of it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import docker
import pytest
from support import CANARY, Site
from trainer.backends.docker import session
from trainer.workspace.settings import find


@pytest.fixture(autouse=True)
def no_session_left(site: Site, client: docker.DockerClient) -> Iterator[None]:
    yield
    assert _sessions(client) == []
    assert not list(find(site.root).state.glob("session-*/"))


def _sessions(client: docker.DockerClient) -> list[str]:
    label: dict[str, str | list[str] | bool] = {"label": session.LABEL}
    return [str(item.id) for item in client.containers.list(all=True, filters=label, ignore_removed=True)]


def test_a_command_has_what_a_run_of_the_project_has(site: Site) -> None:
    (site.root / "data" / "words.txt").write_text("some words\n")
    said = (
        'id -u; pwd; cat /data/words.txt; echo "$PROBE_TOKEN"; echo aside >&2; touch /data/a; touch b && ls b'
    )
    done = site.trainer("shell", "probe", "--", "sh", "-c", f"{said}; exit 5")
    lines = done.out.splitlines()
    assert lines == [str(os.getuid()), "/trainer/code", "some words", CANARY, "b"]
    assert done.code == 5
    assert "aside" in done.err
    assert "/data/a" in done.err  # a read-only file system
    assert CANARY not in done.err
    assert not (site.root / "train_code" / "probe" / "b").exists()


def test_what_mlflow_logs_there_is_no_run(site: Site) -> None:
    script = "import mlflow; mlflow.start_run(); mlflow.log_metric('a', 1); mlflow.end_run(); print('logged')"
    done = site.trainer("shell", "sklearn", "--", "python", "-c", script)
    assert (done.code, done.out.splitlines()[-1:]) == (0, ["logged"]), done.err
    assert not list((find(site.root).state / "runs").glob("*/record.json"))


def test_an_image_has_no_code_and_the_command_that_is_not_there_has_its_code(site: Site) -> None:
    done = site.trainer("shell", "trainer/sklearn", "--", "sh", "-c", "ls -A; touch mine && ls")
    assert (done.code, done.out) == (0, "mine\n")
    assert site.trainer("shell", "trainer/sklearn", "--", "nothing").code == 127


def test_a_run_has_the_code_that_it_had(site: Site) -> None:
    script = site.root / "train_code" / "probe" / "probe.py"
    before = script.read_text()
    run = site.trainer("run", "probe", "--mode", "ok")
    assert run.code == 0, run.err
    script.write_text("print('another one')\n")
    try:
        done = site.trainer("shell", run.run_id[:8], "--", "cat", "probe.py")
    finally:
        script.write_text(before)
    assert (done.code, done.out) == (0, before), done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_removes_the_container(
    site: Site, client: docker.DockerClient, number: signal.Signals
) -> None:
    process = site.start("shell", "probe", "--", "sh", "-c", "echo ready; sleep 100")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    done, seconds = site.stop(process, number)
    assert done.code == 128 + number
    assert seconds < 15
    assert _sessions(client) == []


def _until(terminal: int, text: bytes) -> bytes:
    said = b""
    deadline = time.monotonic() + 60
    while text not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 1)[0]:
            said += os.read(terminal, 4096)
    return said


def test_a_terminal_is_the_shells(site: Site) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "trainer", "shell", "probe"]
    process = subprocess.Popen(
        command, cwd=site.root, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    _until(ours, b"code$ ")
    os.write(ours, b"tty && sleep 50\n")
    _until(ours, b"/dev/pts/")
    os.write(ours, b"\x03")
    _until(ours, b"code$ ")
    os.write(ours, b"exit 9\n")
    assert process.wait(timeout=30) == 9
    os.close(ours)
