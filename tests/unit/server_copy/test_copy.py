"""`trainer server copy-runs` before anything is copied: which servers, with whose credentials."""

from __future__ import annotations

import base64
import json
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trainer import locks
from trainer.errors import DiskFull, TrackingError
from trainer.server_copy import content, files, plan
from trainer.server_copy.plan import Plan, PlannedExperiment, PlannedRun
from trainer.server_copy.reading import Experiment, Record
from trainer.tracking import artifacts
from trainer.tracking.artifacts.listing import Artifact
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, serving

NOWHERE = "http://127.0.0.1:1"

Trainer = Callable[..., Result]


def _mlflow(server: HttpServer) -> HttpServer:
    results = {"experiments": [{"experiment_id": "1", "name": "digits", "lifecycle_stage": "active"}]}
    server.replies = {
        "/version": [Reply(body="2.22.1")],
        "/api/2.0/mlflow/experiments/search": [Reply(body=json.dumps(results))],
        "*": [Reply()],
    }
    return server


@pytest.fixture
def servers() -> Iterator[tuple[HttpServer, HttpServer]]:
    with serving() as first, serving() as second:
        yield _mlflow(first), _mlflow(second)


def _users(server: HttpServer) -> set[str]:
    sent = {asked.headers.get("Authorization", "") for asked in server.asked}
    return {base64.b64decode(item.removeprefix("Basic ")).decode() for item in sent}


def test_each_server_gets_its_own_credentials(
    trainer: Trainer, servers: tuple[HttpServer, HttpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = servers
    for name, value in {
        "OLD_USERNAME": "ada", "OLD_PASSWORD": "of the old one", "MLFLOW_TRACKING_URI": second.uri,
        "MLFLOW_TRACKING_USERNAME": "bob", "MLFLOW_TRACKING_PASSWORD": "of the new one",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    done = trainer("server", "copy-runs", first.uri, second.uri, "--from-credentials", "OLD", "--dry-run")
    assert done.code == 0, done.err
    assert _users(first) == {"ada:of the old one"}
    assert _users(second) == {"bob:of the new one"}
    first.asked.clear()
    assert trainer("server", "copy-runs", first.uri, second.uri, "--dry-run").code == 0
    assert _users(first) == {""}


def test_credentials_of_an_address_are_used_and_never_shown(
    trainer: Trainer, servers: tuple[HttpServer, HttpServer]
) -> None:
    first, second = servers
    address = first.uri.replace("//", "//ada:geheim-geheim@")
    for place, pair in (("FROM", (NOWHERE, second.uri)), ("TO", (address, NOWHERE))):
        away = trainer("server", "copy-runs", *pair)
        error, hint = away.err.splitlines()
        assert error == f"Error: The tracking server {NOWHERE} refuses connections."
        assert hint == f"Hint:  Start it, or correct {place}."
    done = trainer("server", "copy-runs", address, second.uri, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert _users(first) == {"ada:geheim-geheim"}
    first.replies = {"*": [Reply(401, "no")]}
    refused = trainer("server", "copy-runs", address, second.uri)
    assert refused.code == 85
    same = trainer("server", "copy-runs", address, first.uri)
    assert same.code == 2
    assert "geheim" not in done.out + done.err + refused.out + refused.err + same.err


def test_variables_that_are_not_set(trainer: Trainer, servers: tuple[HttpServer, HttpServer]) -> None:
    done = trainer("server", "copy-runs", servers[0].uri, servers[1].uri, "--to-credentials", "NEW")
    assert done.code == 2
    assert "NEW_USERNAME" in done.err
    assert len(done.err.strip().splitlines()) == 2


def test_what_is_no_tracking_server(trainer: Trainer, servers: tuple[HttpServer, HttpServer]) -> None:
    first, second = servers
    first.replies = {"*": [Reply(body="<html>Please log in</html>")]}
    for pair in ((first.uri, second.uri), (second.uri, first.uri)):
        done = trainer("server", "copy-runs", *pair)
        assert done.code == 84
        assert f"{first.uri} is not an MLflow tracking server" in done.err
    assert not any(asked.path.endswith("/create") for asked in second.asked)


def test_a_server_without_the_calls(trainer: Trainer, servers: tuple[HttpServer, HttpServer]) -> None:
    first, second = servers
    first.replies = {"*": [Reply(404, "no such page")]}
    done = trainer("server", "copy-runs", first.uri, second.uri)
    assert done.code == 84
    assert "no server of MLflow 1.30 or newer" in done.err


def test_a_server_that_is_too_old_to_be_copied_to(
    trainer: Trainer, servers: tuple[HttpServer, HttpServer]
) -> None:
    first, second = servers
    second.replies["/version"] = [Reply(body="2.8.1")]
    done = trainer("server", "copy-runs", first.uri, second.uri)
    assert done.code == 84
    assert "needs MLflow 2.9 or newer; it is 2.8.1" in done.err
    assert "--tracking-uri" not in done.err


def test_an_experiment_that_is_not_there(trainer: Trainer, servers: tuple[HttpServer, HttpServer]) -> None:
    done = trainer("server", "copy-runs", servers[0].uri, servers[1].uri, "--experiment", "digit")
    assert done.code == 2
    assert "Did you mean digits?" in done.err


def test_one_call_at_a_time(
    trainer: Trainer, workspace: Workspace, servers: tuple[HttpServer, HttpServer]
) -> None:
    assert locks.acquire(workspace.state / "copy-runs.lock") is not None
    done = trainer("server", "copy-runs", servers[0].uri, servers[1].uri)
    assert done.code == 2
    assert "is at work" in done.err


def test_an_artifact_that_is_larger_than_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**9))
    client = Client(Server("http://127.0.0.1:1"))
    record = Record(Run("r", "1", "r", "FINISHED", ""), {}, "", "FINISHED", False, 0, 0, (), (), ())
    original = PlannedRun(record, (Artifact("weights", 2 * 10**9),))
    planned = Plan(client, client, (PlannedExperiment(Experiment("1", "e", False, {}), (original,)),), (), {})
    with pytest.raises(DiskFull):
        plan.check_room(planned, tmp_path)


def test_a_path_that_leads_out_of_the_artifacts(tmp_path: Path) -> None:
    client = Client(Server("http://127.0.0.1:1"))
    holder = files.RunArtifacts(client, Run("r", "1", "r", "FINISHED", "mlflow-artifacts:/1/r/artifacts"))
    for path in ("../x", "a/../../x", "/x"):
        with pytest.raises(TrackingError, match="leads out"):
            files.copy(holder, holder, path, tmp_path)


def test_ids_of_copies_take_the_place_of_their_originals() -> None:
    old, new = "a" * 32, "b" * 32
    assert (
        content.translated(f"runs:/{old}/model and m-{old}", {old: new}) == f"runs:/{new}/model and m-{new}"
    )
    assert content.translated(f"0{old}", {old: new}) == f"0{old}"


def test_a_store_s_client_has_no_credentials_of_another_server(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of another one")
    http_server.replies = {"*": [Reply(body='{"files": []}')]}
    root = f"mlflow-artifacts://127.0.0.1:{http_server.port}/1/r"
    assert list(artifacts.listed(Server(http_server.uri), root)) == []
    assert http_server.asked
    assert not any("Authorization" in asked.headers for asked in http_server.asked)
