import shutil
from types import SimpleNamespace

import pytest
from trainer.errors import CheckFailed
from trainer.host import disk
from trainer.workspace.settings import Workspace

from unit.helpers import fails


def test_a_run_is_refused_where_less_is_free_than_it_wants(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_900_000_000))
    with fails(
        CheckFailed,
        f"Only 1.9 GB free at {workspace.root}; a run wants 2 GB at least.",
        "Make room (docker system df shows the engine's), or lower disk_free_gb in trainer.yaml.",
    ):
        disk.check(workspace)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000_000))
    disk.check(workspace)
