"""--tracking-uri, of the commands that look at what is on a tracking server."""

import base64
import json
from collections.abc import Callable

import pytest
from trainer.errors import InvalidInput
from trainer.runs import resolve
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, fails
from unit.runs.helpers import API, ID, knows, record

Trainer = Callable[..., Result]


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that runs report to otherwise: nobody listens there."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    "command",
    [
        ["runs"],
        ["show", "hen"],
        ["compare", "hen", "owl"],
        ["logs", "hen"],
        ["reproduce", "hen", "--dry-run"],
        ["resume", "hen", "--dry-run"],
        ["doctor", "--json"],
    ],
    ids=lambda command: str(command[0]),
)
def test_the_server_that_is_named_is_asked_with_the_account_in_its_address(
    trainer: Trainer, http_server: HttpServer, command: list[str]
) -> None:
    http_server.replies["*"] = [Reply(500, "boom")]
    uri = http_server.uri.replace("://", "://me:hunter2@")
    done = trainer(*command, "--tracking-uri", uri)
    assert f"The tracking server {http_server.uri} answered 500: boom" in done.out + done.err
    assert "hunter2" not in done.out + done.err
    account = "Basic " + base64.b64encode(b"me:hunter2").decode()
    assert {asked.headers.get("Authorization") for asked in http_server.asked} == {account}


def test_ui_and_env_are_of_the_server_that_is_named(trainer: Trainer, http_server: HttpServer) -> None:
    shown = trainer("ui", "--no-browser", "--tracking-uri", http_server.uri)
    assert shown.out.startswith(http_server.uri)
    variables = json.loads(trainer("env", "--json", "--tracking-uri", f"{http_server.uri}/").out)
    assert variables == {"MLFLOW_TRACKING_URI": http_server.uri}


@pytest.mark.parametrize(
    "command", [["runs"], ["show", "@last"], ["logs", "hen"]], ids=lambda one: str(one[0])
)
def test_what_is_no_address_is_rejected(trainer: Trainer, command: list[str]) -> None:
    done = trainer(*command, "--tracking-uri", "sqlite:///x.db")
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        "Error: The tracking URI sqlite:///x.db is not an http(s) address.",
    )


def test_a_run_is_looked_for_on_the_server_that_is_named_and_nowhere_else(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    ours = record(http_server, run_id="a" * 32, tracking_uri="http://127.0.0.1:9", started=2.0)
    theirs = record(http_server, started=1.0)
    for run in (ours, theirs):  # of one name
        run_folders.write(workspace, run_folders.new_folder(workspace), run)[1].release()
        run_folders.remove(workspace, run.run_id)
    result = knows(http_server, theirs, "FINISHED")
    uri = http_server.uri.replace("://", "://me:hunter2@")
    http_server.replies[f"{API}/runs/search"] = [Reply()]  # none is within it
    for named in ("@last", "brave-hen"):
        shown = trainer("show", named, "--tracking-uri", uri, "--json")
        assert json.loads(shown.out)["run_id"] == ID, shown.err
    experiments = '{"experiments": [{"experiment_id": "7"}]}'
    http_server.replies[f"{API}/experiments/search"] = [Reply(body=experiments)]
    http_server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": [result]}))]
    assert trainer("logs", "3f4d", "--tracking-uri", uri).out == "stored output\n"  # of somebody else
    http_server.replies[f"{API}/runs/search"] = [Reply()]
    assert trainer("logs", "aaaa", "--tracking-uri", uri).err.startswith("Error: There is no run aaaa.\n")
    assert {"Authorization" in asked.headers for asked in http_server.asked} == {True}
    assert resolve.resolve(workspace, "@last") == ours


def test_without_a_run_on_the_named_server_there_is_no_last_one(
    workspace: Workspace, trainer: Trainer
) -> None:
    done = trainer("show", "@last", "--tracking-uri", "http://127.0.0.1:10")
    assert done.err.splitlines()[0] == "Error: This workspace has started no run on that server yet."
    with fails(InvalidInput, "This workspace has started no run yet."):
        resolve.resolve(workspace, "@last")
