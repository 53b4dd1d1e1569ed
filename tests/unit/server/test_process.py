import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from trainer import locks, progress
from trainer.engine.bridge import Bridge
from trainer.errors import TrackingError
from trainer.server import container, container_record, process
from trainer.server.process import State
from trainer.tracking.endpoint import Server
from trainer.workspace import run_folders, server_password
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, fails

if TYPE_CHECKING:
    import docker

NOT_HERE = Bridge("203.0.113.1", "203.0.113.0/24")


def write_state(workspace: Workspace, text: str) -> None:
    workspace.state.mkdir(exist_ok=True)
    (workspace.state / "server.json").write_text(text)


STATE = {"pid": os.getpid(), "port": 5000, "bridge": None, "form": 1}


def test_a_state_file_whose_server_is_dead_is_not_running(workspace: Workspace) -> None:
    write_state(workspace, json.dumps(STATE))
    assert process.running(workspace) is None
    (workspace.state / "server.alive").touch()
    assert process.running(workspace) is None
    assert not process.down(workspace)


def test_a_living_server_is_running(workspace: Workspace) -> None:
    write_state(
        workspace, json.dumps({**STATE, "bridge": {"gateway": "172.17.0.1", "subnet": "172.17.0.0/16"}})
    )
    lock = locks.acquire(workspace.state / "server.alive")
    assert lock is not None
    password = server_password.make(workspace)
    state = process.running(workspace)
    lock.release()
    assert state == State(os.getpid(), 5000, Bridge("172.17.0.1", "172.17.0.0/16"), password=password)
    assert state.server == Server("http://127.0.0.1:5000", "trainer", password)
    assert password not in repr(state) + state.written()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1, "port": 2, "bridge": 3}'])
def test_a_server_without_its_state_file_says_what_to_do(workspace: Workspace, text: str) -> None:
    write_state(workspace, text)
    alive = workspace.state / "server.alive"
    lock = locks.acquire(alive)
    assert lock is not None
    with fails(
        TrackingError,
        "This workspace's tracking server runs, but its state file is gone.",
        f"End the process that holds {alive}, then try again: fuser -k {alive}",
    ):
        process.begin(workspace)
    lock.release()


def test_a_living_server_is_left_running(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge("127.0.0.2", "127.0.0.0/24")
    monkeypatch.setattr(process, "running", lambda _: State(1, 5000, bridge, password="p"))
    assert process.begin(workspace).uri == "http://127.0.0.1:5000"
    assert process.begin(workspace, bridge).uri == "http://127.0.0.1:5000"


def test_a_living_server_is_there_for_who_may_only_read_the_workspace(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def denied(path: object) -> Iterator[None]:
        raise PermissionError(13, "Permission denied", str(path))
        yield

    monkeypatch.setattr(locks, "exclusive", denied)
    with pytest.raises(PermissionError):
        process.begin(workspace)
    monkeypatch.setattr(process, "running", lambda _: State(1, 5000, None, password="p"))
    assert process.begin(workspace).uri == "http://127.0.0.1:5000"


def test_it_is_not_restarted_for_a_bridge_that_is_not_this_machines(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "running", lambda _: State(1, 5000, None, password="p"))
    monkeypatch.setattr(process, "_stop", lambda *_: pytest.fail("it was stopped"))
    assert process.begin(workspace, NOT_HERE).uri == "http://127.0.0.1:5000"


@pytest.mark.parametrize("state", [{}, {"form": 0}, {"form": 1}])
def test_one_that_asks_for_no_password_is_restarted_once_no_run_reports_to_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, state: dict[str, object]
) -> None:
    write_state(workspace, json.dumps({"pid": 1, "port": 5000, "bridge": None, **state}))
    monkeypatch.setattr(process, "_start", lambda *_: State(2, 5000, None, password="p"))
    stopped: list[State] = []
    monkeypatch.setattr(process, "_stop", lambda _, found: stopped.append(found))
    lock = locks.acquire(workspace.state / "server.alive")
    assert lock is not None
    live = [object()]
    monkeypatch.setattr(run_folders, "live", lambda _: live)
    assert process.begin(workspace) == Server("http://127.0.0.1:5000")
    assert stopped == []
    live.clear()
    assert process.begin(workspace) == Server("http://127.0.0.1:5000", "trainer", "p")
    assert [found.pid for found in stopped] == [1]
    lock.release()


def test_the_password_is_for_its_owner_alone_and_not_for_git(workspace: Workspace) -> None:
    password = server_password.make(workspace)
    file = server_password.file(workspace)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert len(password) > 40
    subprocess.run(["git", "init", "--quiet", workspace.root], check=True)
    (workspace.root / ".gitignore").write_text("")
    listed = subprocess.run(
        ["git", "-C", workspace.root, "status", "--porcelain", "--untracked-files=all"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "server/" not in listed


def test_the_own_server_is_known_by_its_address_or_its_password(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = server_password.make(workspace)
    assert server_password.make(workspace) == password
    ours = Server("http://127.0.0.1:5000", "trainer", password)
    assert not process.is_own(workspace, ours)  # none was ever started
    write_state(workspace, json.dumps(STATE))
    assert process.is_own(workspace, ours)
    assert not process.is_own(workspace, Server("http://127.0.0.1:5000"))
    assert not process.is_own(workspace, replace(ours, uri="http://127.0.0.1:5001"))
    monkeypatch.setattr(process, "running", lambda _: State(1, 5000, None, password=password))
    assert process.is_own(workspace, Server("http://127.0.0.1:5000"))
    assert not process.is_own(workspace, Server("http://127.0.0.1:5001", "me", "another"))


def test_every_workspace_has_an_identity_of_its_own(workspace: Workspace) -> None:
    assert workspace.identity == replace(workspace).identity
    assert workspace.identity != replace(workspace, root=workspace.root / "x").identity


def test_only_the_own_server_is_taken_for_it(workspace: Workspace, http_server: HttpServer) -> None:
    own = State(1, http_server.port, None).server
    for name, answers in ((workspace.identity, True), ("another", False)):
        http_server.replies["/health"] = [Reply(body="OK", headers=(("x-trainer-workspace", name),))]
        assert process.answers(workspace, own) is answers
    http_server.replies["/health"] = [Reply(body="OK")]
    assert not process.answers(workspace, own)


def test_a_server_that_does_not_start_shows_the_end_of_its_log(workspace: Workspace) -> None:
    workspace.state.mkdir()
    log = process.log_file(workspace)
    log.write_text("starting\nOSError: no room\n\n")
    with fails(
        TrackingError, "The workspace's tracking server did not start: OSError: no room", f"See {log}"
    ):
        process.wait(workspace, State(1, 1, None).server)


def test_a_server_that_runs_and_does_not_answer_is_not_explained_by_its_log(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.state.mkdir()
    process.log_file(workspace).write_text("INFO mlflow: Updating database tables\n")
    monkeypatch.setattr(process, "START_S", 0.2)
    silent = "The workspace's tracking server did not start: it gives no answer for 0.2 s."
    lock = locks.acquire(workspace.state / "server.alive")
    assert lock
    with fails(TrackingError, silent):
        process.wait(workspace, State(1, 1, None).server)
    lock.release()


def test_a_server_that_is_suspended_is_not_waited_for(workspace: Workspace) -> None:
    workspace.state.mkdir()
    server = subprocess.Popen(["sleep", "60"])
    server.send_signal(signal.SIGSTOP)
    lock = locks.acquire(workspace.state / "server.alive")
    assert lock
    state = State(server.pid, 1, None)
    (workspace.state / "server.json").write_text(state.written())
    try:
        with fails(
            TrackingError,
            f"The workspace's tracking server (process {server.pid}) is suspended by a signal.",
            f"Let it go on: kill -CONT {server.pid}",
        ):
            process.wait(workspace, state.server)
    finally:
        lock.release()
        server.kill()
        server.wait()


def test_that_a_server_is_started_is_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def waiting(text: str) -> AbstractContextManager[None]:
        shown.append(text)
        return nullcontext()

    monkeypatch.setattr(progress, "_waiting", waiting)
    answers = iter([True, False, False, True])
    monkeypatch.setattr(process, "answers", lambda *_, **__: next(answers))
    workspace.state.mkdir()
    lock = locks.acquire(workspace.state / "server.alive")
    assert lock
    process.wait(workspace, State(1, 1, None).server)
    assert shown == [], "it ran already"
    process.wait(workspace, State(1, 1, None).server)
    assert shown == ["Starting the tracking server"]
    lock.release()


def test_a_server_that_was_killed_before_it_said_anything_is_called_that(workspace: Workspace) -> None:
    workspace.state.mkdir()
    log = process.log_file(workspace)
    for said in (None, "", "\n"):
        if said is not None:
            log.write_text(said)
        with fails(
            TrackingError, "The workspace's tracking server did not start: it was killed.", f"See {log}"
        ):
            process.wait(workspace, State(1, 1, None).server)


@pytest.mark.parametrize(
    ("status", "said", "why"),
    [
        ("running", b"Serving\n", "it gives no answer for 0.1 s."),
        ("exited", b"a\nno room\n", "no room"),
        ("exited", b"", "it was killed."),
    ],
)
def test_why_a_container_does_not_start(
    monkeypatch: pytest.MonkeyPatch, status: str, said: bytes, why: str
) -> None:
    monkeypatch.setattr(container, "START_S", 0.1)
    monkeypatch.setattr(container, "find", lambda *_: container.ContainerState(status, "image", 1))
    monkeypatch.setattr(container, "output", lambda *_: iter([said]))
    with fails(TrackingError, f"The workspace's tracking server did not start: {why}"):
        container.wait(cast("docker.DockerClient", None), "server")


def test_a_run_of_before_a_move_is_reported_to_the_server_where_it_is_now(workspace: Workspace) -> None:
    before, now, elsewhere = (f"http://127.0.0.1:{port}" for port in (5000, 5001, 5002))
    container_record.record(workspace, before)
    container_record.record(workspace, before)
    container_record.record(workspace, now)
    assert container_record.recorded(workspace) == now
    assert container_record.present(workspace, before, since=1.0) == now
    assert container_record.present(workspace, elsewhere, since=1.0) == elsewhere
    # What has the port now is another server: runs that begin there are told to it.
    assert container_record.present(workspace, before, since=time.time() + 1) == before
