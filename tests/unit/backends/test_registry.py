"""Which backends there are, those of other packages included."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainer.backends import registry
from trainer.errors import InvalidInput
from trainer.maintenance import gc
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, fails, put

THEIRS = """
from trainer.errors import EngineError


class Cluster:
    name = "cluster"
    isolated = True

    def __init__(self, workspace):
        pass

    def connect(self):
        raise EngineError("No cluster answers.", "Start it.")
"""


@pytest.fixture
def another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a backend."""
    put(tmp_path / "site" / "cluster_backend.py", THEIRS)
    described = tmp_path / "site" / "cluster_backend-1.0.dist-info"
    put(described / "METADATA", "Metadata-Version: 2.1\nName: cluster-backend\nVersion: 1.0\n")
    put(described / "entry_points.txt", "[trainer.backends]\ncluster = cluster_backend:Cluster\n")
    monkeypatch.syspath_prepend(tmp_path / "site")


def test_an_unknown_backend(workspace: Workspace) -> None:
    with fails(InvalidInput, "There is no backend dokcer.", "Did you mean docker?"):
        registry.named("dokcer", workspace)


@pytest.mark.usefixtures("another")
def test_a_backend_of_another_package_is_one_of_them(workspace: Workspace) -> None:
    assert registry.names() == ["cluster", "docker", "local"]
    assert registry.target("cluster").isolated
    with fails(InvalidInput, "There is no backend clusters.", "Did you mean cluster?"):
        registry.named("clusters", workspace)


def test_a_live_run_of_a_backend_that_is_not_installed_may_use_the_local_cache(workspace: Workspace) -> None:
    assert (registry.isolates("docker"), registry.isolates("local"), registry.isolates("cluster")) == (
        True, False, False,
    )  # fmt: skip
    elsewhere = Record("a" * 32, "demo", "cluster", "http://localhost:1", own_server=False, host="elsewhere")
    run_folders.write(workspace, run_folders.new_folder(workspace), elsewhere)[1].release()
    notes = gc.find(workspace, of_cache=True, days=30).notes
    assert "A live run may use the local cache: nothing of it is removed." in notes


@pytest.mark.usefixtures("another")
def test_the_automatic_one_can_be_connected_to_and_isolates_runs_if_possible(workspace: Workspace) -> None:
    name, away = registry.automatic(workspace)
    assert name == "local"
    assert [problem.message.split(":")[0] for problem in away] == [
        "No cluster answers.", f"No Docker engine answers at {DEAD_ENGINE.split(':')[0]}",
    ]  # fmt: skip
