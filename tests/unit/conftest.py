"""No unit test reaches a Docker engine, the user's home or the machine's settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trainer.workspace.settings import Workspace, find

from unit.helpers import DEAD_ENGINE, HttpServer, Result, called, make_workspace, serving

_PREFIXES = ("MLFLOW_", "TRAINER_", "DOCKER_", "GIT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.upper().startswith(_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("DOCKER_HOST", DEAD_ENGINE)
    monkeypatch.setenv("TRAINER_WORKSPACE", "")  # set by --workspace; so it is put back afterwards


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace, and the current folder."""
    root = tmp_path / "site"
    make_workspace(root)
    monkeypatch.chdir(root)
    return find(root)


@pytest.fixture
def trainer(workspace: Workspace, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:  # noqa: ARG001
    """`trainer ARGUMENTS…`, called in the workspace."""
    return called(capfd)


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A server on 127.0.0.1 that answers as it is told."""
    with serving() as server:
        yield server
