"""Which backends there are, those of other packages included."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainer.backends import registry
from trainer.errors import BadInput
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
    with fails(BadInput, "There is no backend dokcer.", "Did you mean docker?"):
        registry.named("dokcer", workspace)


@pytest.mark.usefixtures("another")
def test_a_backend_of_another_package_is_one_of_them(workspace: Workspace) -> None:
    assert registry.names() == ["cluster", "docker", "local"]
    assert registry.target("cluster").isolated
    with fails(BadInput, "There is no backend clusters.", "Did you mean cluster?"):
        registry.named("clusters", workspace)


@pytest.mark.usefixtures("another")
def test_the_automatic_one_can_be_connected_to_and_isolates_runs_if_possible(workspace: Workspace) -> None:
    name, away = registry.automatic(workspace)
    assert name == "local"
    assert [problem.message.split(":")[0] for problem in away] == [
        "No cluster answers.", f"No Docker engine answers at {DEAD_ENGINE.split(':')[0]}",
    ]  # fmt: skip
