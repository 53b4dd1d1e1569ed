"""What a server refused goes back to what is to be delivered."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.errors import DiskFull
from trainer.runs.sync import refused_again
from trainer.workspace import refusals, run_folders
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, put
from unit.runs.helpers import record

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
    assert [item.run_id for item in refusals.all_refused(workspace)] == [RUN_ID]
    refused_again.take_back(workspace)
    journal = (workspace.state / "runs" / RUN_ID / "spool" / "journal").read_text()
    assert journal.count('"key":"a"') == 1
    assert list(refusals.all_refused(workspace)) == []


def test_what_was_refused_before_is_reported_and_is_no_new_failure(
    workspace: Workspace, trainer: Callable[..., Result]
) -> None:
    kept = workspace.state / "refused" / RUN_ID
    put(kept / "spool" / "refused", json.dumps({"record": {}, "status": 413, "answer": "too large"}) + "\n")
    told = (
        f"The tracking server refused 1 record of the run {RUN_ID[:8]} for good: too large. It is in {kept}\n"
    )
    assert trainer("sync") == Result(0, "Nothing to do: the rest is on the tracking server.\n", told)
    assert trainer("sync", "--dry-run") == Result(
        0, "Nothing to do: the rest is on the tracking server.\n", told
    )
    assert (said := trainer("reconcile")).code == 0
    assert said.err == told
    assert json.loads(trainer("sync", "--json").out)[0]["refused"] == 1


@pytest.mark.parametrize("said", ["brave-hen", RUN_ID[:6], "5e5e5e", "@last"])
def test_a_run_is_named_as_everywhere(
    workspace: Workspace, trainer: Callable[..., Result], http_server: HttpServer, said: str
) -> None:
    # It was run offline as RUN_ID, and got another id from the server that refused something of it.
    for run_id, name in (("ab12" * 8, "another"), (RUN_ID, "brave-hen")):
        run = record(http_server, run_id=run_id, name=name)
        folder, lock = run_folders.write(workspace, run_folders.new_folder(workspace), run)
        lock.release()
        tag = {"method": "POST", "path": "/api/2.0/mlflow/runs/set-tag", "body": {"key": "a", "value": "b"}}
        line = json.dumps({"record": tag, "status": 413, "answer": "no"})
        put(folder.refused, line + "\n")
        put(folder.spool / "run.json", json.dumps({"info": {"run_id": run_id}}))
        run_folders.end(folder, "FINISHED")
        run_folders.remove(workspace, run_id)
    run_folders.rename(workspace, run, "5e5e" * 8)
    http_server.replies["*"] = [Reply(503, "later")]
    told = trainer("sync", said)
    assert told == Result(
        2,
        "",
        f"Error: The run {said} is on the tracking server, except for what that refused.\n"
        f"Hint:  To send it again: trainer sync {said} --refused\n",
    )
    assert trainer("sync", said, "--refused", "--dry-run").code == 0
    assert [item.name for item in sorted((workspace.state / "runs").iterdir())] == []
    trainer("sync", said, "--refused")
    assert [item.name for item in (workspace.state / "runs").iterdir()] == [RUN_ID]
    assert [item.run_id for item in refusals.all_refused(workspace)] == ["ab12" * 8]
