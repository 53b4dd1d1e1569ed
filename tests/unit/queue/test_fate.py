"""What became of a run is told by its folder, its job and the server, whoever has died."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainer import locks
from trainer.queue import fate
from trainer.queue.fate import Fate
from trainer.runs import reconcile
from trainer.workspace import run_folder, run_folders
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer
from unit.runs.helpers import ID, knows, live, not_there, record


@pytest.fixture
def server(http_server: HttpServer, workspace: Workspace) -> HttpServer:
    (workspace.root / "trainer.yaml").write_text(f"tracking_uri: {http_server.uri}\n")
    knows(http_server, record(http_server))
    return http_server


def test_one_that_goes_on_is_running_and_it_is_told_whether_somebody_looks_after_it(
    workspace: Workspace, server: HttpServer
) -> None:
    live(workspace, record(server))
    assert fate.of_run(workspace, ID) == Fate("RUNNING", is_attended=False)
    with locks.exclusive(run_folder.of(workspace, ID).lock):
        assert fate.of_run(workspace, ID) == Fate("RUNNING")


def test_one_that_somebody_settles_just_now_is_not_over_yet(
    workspace: Workspace, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(workspace, record(server), result="0")
    monkeypatch.setattr(reconcile, "settle_one", lambda *_: None)
    assert fate.of_run(workspace, ID).status == "RUNNING"


def test_one_that_has_ended_is_over_before_the_server_has_all_of_it(
    workspace: Workspace, server: HttpServer
) -> None:
    folder = live(workspace, record(server))
    run_folders.end(run_folder.of(workspace, ID), "FINISHED")
    assert fate.of_run(workspace, ID) == Fate("FINISHED")
    with locks.exclusive(Path(folder) / "looked-after"):
        assert fate.of_run(workspace, ID) == Fate("FINISHED", is_delivered=False)


@pytest.mark.parametrize(
    ("status", "end", "had_no_job"),
    [
        ("FINISHED", "done", False),
        ("FAILED", "exit code 3", False),
        ("FAILED", "could not be started", True),
        ("KILLED", "stopped before it started", True),
        ("KILLED", "lost", True),
        ("KILLED", "stopped by trainer stop", False),
    ],
)
def test_of_one_that_is_gone_here_the_server_says_it(
    workspace: Workspace, server: HttpServer, status: str, end: str, had_no_job: bool
) -> None:
    run = record(server)
    live(workspace, run)
    run_folders.remove(workspace, ID)
    knows(server, run, status, trainer__end=end)
    assert fate.of_run(workspace, ID) == Fate(status, had_no_job)


def test_one_that_nobody_has_is_gone(workspace: Workspace, server: HttpServer) -> None:
    live(workspace, record(server))
    run_folders.remove(workspace, ID)
    server.replies["/api/2.0/mlflow/runs/get"] = [not_there()]
    assert fate.of_run(workspace, ID) == Fate("GONE", had_no_job=True)
