"""What a server refused goes back to what is to be delivered."""

import json
from pathlib import Path

import pytest
from trainer.errors import DiskFull
from trainer.runs import refused_again
from trainer.workspace import refusals
from trainer.workspace.settings import Workspace

from unit.helpers import put

RUN_ID = "3f4c" * 8


def test_a_call_that_is_cut_off_loses_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = workspace.state / "refused" / RUN_ID
    tag = {"method": "POST", "path": "/api/2.0/mlflow/runs/set-tag", "body": {"key": "a", "value": "b"}}
    put(kept / "spool" / "refused", json.dumps({"record": tag, "status": 413, "answer": "no"}) + "\n")
    put(kept / "spool" / "run.json", json.dumps({"info": {"run_id": RUN_ID}}))
    (workspace.state / "runs").mkdir(exist_ok=True)

    def fail(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fail)
        with pytest.raises(DiskFull):
            refused_again.take_back(workspace)
    assert [one.run_id for one in refusals.all_kept(workspace)] == [RUN_ID]
    refused_again.take_back(workspace)
    journal = (workspace.state / "runs" / RUN_ID / "spool" / "journal").read_text()
    assert journal.count('"key":"a"') == 1
    assert list(refusals.all_kept(workspace)) == []
