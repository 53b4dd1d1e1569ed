"""Runs and models of one real server are copied to another one: all of them, and none of them twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from support import Site

from servers.versions import NEWEST, OLDEST, TOO_OLD, Running, serving

_RUNS = 12  # of each of two experiments
_LIVE, _DELETED = 5, 7  # which of them
_SEED, _KILLS = 15, 20
_KILLED = """
import os, random, signal, sys, threading
import requests
from trainer.cli.main import main

number, how, chance = int(sys.argv.pop(1)), sys.argv.pop(1), random.Random(int(sys.argv.pop(1)))
sent, written = requests.Session.request, 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def request(self, method, url, **more):
    global written
    writes = method != "GET" and not url.endswith("/search")
    written += writes
    if writes and written == number:
        if how == "before":
            die()
        if how == "meanwhile":
            threading.Timer(chance.uniform(0, 0.02), die).start()
        answer = sent(self, method, url, **more)
        if how == "after":
            die()
        signal.pause()
    return sent(self, method, url, **more)

requests.Session.request = request
main(sys.argv[1:])
"""


def call(uri: str, method: str, route: str, body: object = None, /, **query: str) -> dict[str, Any]:
    answer = requests.request(method, f"{uri}/api/2.0/mlflow/{route}", json=body, params=query, timeout=60)
    assert answer.ok, answer.text
    result = answer.json()
    assert isinstance(result, dict)
    return result


def fill(server: Running) -> None:
    """Two experiments with runs of all kinds, and a registered model."""
    uri = server.uri
    made: dict[str, list[dict[str, Any]]] = {}
    for experiment in ("digits", "letters"):
        found = call(uri, "POST", "experiments/create", {"name": experiment})["experiment_id"]
        made[experiment] = []
        for number in range(_RUNS):
            parents = made[experiment][-(number % 3) :] if number % 3 else []
            tags = {"number": f"{experiment} {number}", "empty": ""}
            tags |= {"mlflow.parentRunId": parents[0]["run_id"]} if parents else {}
            tags |= {"trainer.memory" if number % 2 else "mlflow.trainer.memory": "8g"}
            body = {
                "experiment_id": found, "run_name": f"run-{number}", "user_id": "ada",
                "start_time": 1_600_000_000_000 + number,
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            }  # fmt: skip
            made[experiment].append(call(uri, "POST", "runs/create", body)["run"]["info"])
            fill_run(server, made[experiment][-1], number)
    register(server, *made["digits"][1:3])


def fill_run(server: Running, run: dict[str, Any], number: int) -> None:
    uri, run_id = server.uri, run["run_id"]
    points: list[dict[str, object]] = [
        {"key": key, "value": 1 / (step + 1), "step": step, "timestamp": 1_600_000_001_000 + step}
        for key in ("loss", "val/accuracy") for step in range(number * 20)
    ]  # fmt: skip
    points += [{"key": "odd", "value": value, "step": -1, "timestamp": 5} for value in ("NaN", 2.5)]
    for start in range(0, len(points), 900):
        call(uri, "POST", "runs/log-batch", {"run_id": run_id, "metrics": points[start : start + 900]})
    parameters = [{"key": f"p{item}", "value": str(item)} for item in range(number)]
    call(uri, "POST", "runs/log-batch", {"run_id": run_id, "params": parameters})
    if server.version != TOO_OLD:
        dataset = {"name": "digits", "digest": "d1", "source_type": "local", "source": "{}"}
        tags = [{"key": "mlflow.data.context", "value": "train"}]
        given = {"run_id": run_id, "datasets": [{"dataset": dataset, "tags": tags}]}
        call(uri, "POST", "runs/log-inputs", given)
    for name in ("notes.txt", "model/MLmodel", "model/data/ä b.bin"):
        content = f"{number} {name}".encode() * number
        assert requests.put(artifact(uri, run, name), data=content, timeout=60).ok
    if number != _LIVE:
        status = ("FINISHED", "FAILED", "KILLED")[number % 3]
        ended = {"run_id": run_id, "status": status, "end_time": 1_600_000_009_000 + number}
        call(uri, "POST", "runs/update", ended)
    if number == _DELETED:
        call(uri, "POST", "runs/delete", {"run_id": run_id})


def register(server: Running, *of_runs: dict[str, Any]) -> None:
    """Versions 2 and 3; the number of 1, which was deleted, is not given again."""
    uri = server.uri
    call(uri, "POST", "registered-models/create", {"name": "reader", "description": "Reads"})
    for run in (of_runs[0], *of_runs):
        body = {"name": "reader", "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"],
                "description": f"Of {run['run_name']}"}  # fmt: skip
        call(uri, "POST", "model-versions/create", body)
    call(uri, "DELETE", "model-versions/delete", {"name": "reader", "version": "1"})
    stage = {"name": "reader", "version": "3", "stage": "Production", "archive_existing_versions": False}
    call(uri, "POST", "model-versions/transition-stage", stage)
    if server.version != TOO_OLD:
        call(uri, "POST", "registered-models/alias", {"name": "reader", "alias": "best", "version": "2"})


def artifact(uri: str, run: dict[str, Any], path: str) -> str:
    """Its address."""
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    return f"{uri}/api/2.0/mlflow-artifacts/artifacts/{root}/{path}"


def runs(uri: str, view: str = "ACTIVE_ONLY") -> list[dict[str, Any]]:
    listed = call(uri, "GET", "experiments/search", max_results="100", view_type="ALL")["experiments"]
    body = {"experiment_ids": [item["experiment_id"] for item in listed], "max_results": 1000,
            "run_view_type": view}  # fmt: skip
    return list(call(uri, "POST", "runs/search", body).get("runs", []))


def snapshot(uri: str, view: str = "ACTIVE_ONLY") -> dict[str, Any]:
    """What a server has, without the ids that are its own."""
    result = runs(uri, view)
    numbers = {run["info"]["run_id"]: _tags(run)["number"] for run in result}
    assert len(set(numbers.values())) == len(result), "a run is there twice"
    experiments = call(uri, "GET", "experiments/search", max_results="100")["experiments"]
    names = {item["experiment_id"]: item["name"] for item in experiments}
    payload: dict[str, Any] = {}
    for run in result:
        info, tags = run["info"], _tags(run)
        tags.pop("trainer.copied_from", None)
        if "mlflow.parentRunId" in tags:
            tags["mlflow.parentRunId"] = numbers[tags["mlflow.parentRunId"]]
        payload[numbers[info["run_id"]]] = {
            "info": [info.get(key) for key in ("run_name", "user_id", "status", "start_time", "end_time",
                                               "lifecycle_stage")],
            "experiment": names[info["experiment_id"]],
            "tags": tags,
            "params": sorted((item["key"], item["value"]) for item in run["data"].get("params", [])),
            "metrics": sorted(_points(uri, run)),
            "inputs": run.get("inputs", {}).get("dataset_inputs", []),
            "artifacts": dict(_artifacts(uri, info)),
        }  # fmt: skip
    versions = call(uri, "GET", "model-versions/search", filter="name='reader'").get("model_versions", [])
    model = call(uri, "GET", "registered-models/search").get("registered_models", [{}])[0]
    payload["model"] = (model.get("name"), model.get("description"), model.get("aliases"))
    payload["versions"] = {
        item["version"]: (numbers[item["run_id"]], item["source"].rpartition("/")[2], item.get("description"),
                         item["current_stage"])
        for item in versions
    }  # fmt: skip
    return payload


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: item.get("value", "") for item in run["data"].get("tags", [])}


def _points(uri: str, run: dict[str, Any]) -> Iterator[tuple[str, int, int, str]]:
    for metric in run["data"].get("metrics", []):
        query = {"run_id": run["info"]["run_id"], "metric_key": metric["key"], "max_results": "20000"}
        for item in call(uri, "GET", "metrics/get-history", **query)["metrics"]:
            yield metric["key"], item.get("step", 0), item["timestamp"], str(item["value"])


def _artifacts(uri: str, info: dict[str, Any], folder: str = "") -> Iterator[tuple[str, str]]:
    query = {"run_id": info["run_id"], **({"path": folder} if folder else {})}
    for item in call(uri, "GET", "artifacts/list", **query).get("files", []):
        if item["is_dir"]:
            yield from _artifacts(uri, info, item["path"])
        else:
            content = requests.get(artifact(uri, info, item["path"]), timeout=60).content
            yield item["path"], hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module", params=[pytest.param(TOO_OLD, marks=pytest.mark.opt_in), "2.22.1"])
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("old")
    with serving(request.param, folder) as server:
        fill(server)
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"), port=5492)


def test_everything_is_copied_and_nothing_twice(old: Running, site: Site, tmp_path: Path) -> None:
    with serving(NEWEST, tmp_path) as new:
        planned = site.trainer("server", "copy-runs", old.uri, new.uri, "--dry-run", "--json")
        assert planned.code == 0, planned.err
        assert [item["runs"] for item in json.loads(planned.out)["plan"] if item["runs"]] == [_RUNS - 1] * 2
        assert runs(new.uri) == []

        done = site.trainer("server", "copy-runs", old.uri, new.uri, "--json")
        assert done.code == 0, done.err
        wanted = snapshot(old.uri)
        assert snapshot(new.uri) == wanted
        assert all(item["there"] == item["equal"] for item in json.loads(done.out)["compared"])

        again = site.trainer("server", "copy-runs", old.uri, new.uri, "--json")
        assert again.code == 0, again.err
        assert {item["copied"] for item in json.loads(again.out)["compared"]} == {0}
        assert snapshot(new.uri) == wanted

        deleted = site.trainer("server", "copy-runs", old.uri, new.uri, "--deleted", "--json")
        assert deleted.code == 0, deleted.err
        assert snapshot(new.uri, "ALL") == snapshot(old.uri, "ALL")


def test_a_copy_that_is_killed_again_and_again_is_completed(old: Running, site: Site, tmp_path: Path) -> None:
    chance = random.Random(_SEED)
    # All of them together are fewer than the calls that write: seven for a run.
    numbers = [chance.randrange(1, 2 * 7 * _RUNS // _KILLS) for _ in range(_KILLS)]
    with serving(NEWEST, tmp_path) as new:
        for turn, number in enumerate(numbers):
            how = ("before", "meanwhile", "after")[turn % 3]
            arguments = [str(number), how, str(turn), "server", "copy-runs", old.uri, new.uri]
            command = [sys.executable, "-c", _KILLED, *arguments]
            killed = subprocess.run(command, cwd=site.root, env=os.environ, capture_output=True, text=True)
            assert killed.returncode == -signal.SIGKILL, (turn, number, killed.stderr)
        done = site.trainer("server", "copy-runs", old.uri, new.uri, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["compared"]
        assert snapshot(new.uri) == snapshot(old.uri)
        assert not (site.root / ".trainer" / "copy-runs").exists()


def test_the_oldest_server_that_is_copied_to(old: Running, site: Site, tmp_path: Path) -> None:
    with serving(OLDEST, tmp_path) as new:
        done = site.trainer("server", "copy-runs", old.uri, new.uri)
        assert done.code == 0, done.err
        assert snapshot(new.uri) == snapshot(old.uri)


@pytest.mark.parametrize("version", [pytest.param(TOO_OLD, marks=pytest.mark.opt_in), OLDEST])
def test_from_postgresql_to_postgresql(
    version: str, new_database: Callable[[], str], site: Site, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    with (
        serving(version, folders[0], database=new_database()) as first,
        serving(NEWEST, folders[1], database=new_database()) as second,
    ):
        fill(first)
        for part in ([], ["--deleted"]):
            done = site.trainer("server", "copy-runs", first.uri, second.uri, "--json", *part)
            assert done.code == 0, done.err
            assert all(item["there"] == item["equal"] for item in json.loads(done.out)["compared"])
            view = "ALL" if part else "ACTIVE_ONLY"
            assert snapshot(second.uri, view) == snapshot(first.uri, view)
    assert not list(tmp_path.rglob("mlflow.db"))


def test_artifacts_that_neither_server_takes_itself(site: Site, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("old", "new", "model")]
    for folder in folders:
        folder.mkdir()

    with (
        serving(NEWEST, folders[0], root=str(folders[0] / "artifacts")) as first,
        serving(NEWEST, folders[1], root=str(folders[1] / "artifacts")) as second,
    ):
        log_model(first, folders[2])
        client = MlflowClient(first.uri)
        run = client.create_run("0")
        client.log_text(run.info.run_id, "of a run", "notes/ä b.txt")
        client.set_terminated(run.info.run_id)
        for _ in range(2):
            done = site.trainer("server", "copy-runs", first.uri, second.uri)
            assert done.code == 0, done.err
    kept = {path.name: path.read_text() for path in (folders[1] / "artifacts").rglob("*") if path.is_file()}
    assert kept == {"MLmodel": "flavors: {}", "ä b.txt": "of a run"}


def test_what_a_server_does_not_take_is_named_and_the_rest_is_copied(site: Site, tmp_path: Path) -> None:
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    with serving("2.22.1", folders[0]) as first, serving(NEWEST, folders[1]) as second:
        run = call(first.uri, "POST", "runs/create", {"experiment_id": "0", "run_name": "only"})["run"]
        run_id = run["info"]["run_id"]
        parameters = [{"key": "long", "value": "x"}, {"key": "short", "value": "1"}]
        call(first.uri, "POST", "runs/log-batch", {"run_id": run_id, "params": parameters})
        call(first.uri, "POST", "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 9})
        with sqlite3.connect(folders[0] / "mlflow.db") as database:
            database.execute("UPDATE params SET value = ? WHERE key = 'long'", ("x" * 7000,))
        database.close()
        path = folders[0] / "artifacts" / "0" / run_id / "artifacts"
        path.mkdir(parents=True)
        (path / "a#b.txt").write_text("of no use")
        (path / "c.txt").write_text("of use")

        done = site.trainer("server", "copy-runs", first.uri, second.uri)
        assert done.code == 84, done.err
        assert "parameter long" in done.err
        assert "artifact a#b.txt" in done.err
        assert done.err.count("(" + run_id + ")") == 2, done.err
        [copied] = runs(second.uri)
        assert copied["info"]["status"] == "FINISHED"
        assert {"key": "short", "value": "1"} in copied["data"]["params"]
        assert set(dict(_artifacts(second.uri, copied["info"]))) == {"c.txt"}


def log_model(server: Running, folder: Path) -> str:
    """A run with a logged model that is registered; the model's id."""
    client = MlflowClient(server.uri)
    run = client.create_run(client.create_experiment("nets"), run_name="net")
    model = client.create_logged_model(
        run.info.experiment_id, name="net", source_run_id=run.info.run_id, params={"depth": "3"},
        tags={"colour": "red"}, model_type="agent",
    )  # fmt: skip
    (folder / "MLmodel").write_text("flavors: {}")
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_metric(run.info.run_id, "loss", 0.5, step=2, timestamp=3, model_id=model.model_id)
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 2)])
    client.set_terminated(run.info.run_id)
    client.create_registered_model("net")
    client.create_model_version("net", f"models:/{model.model_id}", run.info.run_id, model_id=model.model_id)
    return str(model.model_id)


def test_logged_models(site: Site, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("old", "new", "model")]
    for folder in folders:
        folder.mkdir()
    with serving(NEWEST, folders[0]) as first, serving(NEWEST, folders[1]) as second:
        original = log_model(first, folders[2])
        for copied in (1, 0):
            done = site.trainer("server", "copy-runs", first.uri, second.uri, "--json")
            assert done.code == 0, done.err
            [found] = [item for item in json.loads(done.out)["compared"] if item["what"] == "logged models"]
            assert found == {"what": "logged models", "there": 1, "equal": 1, "copied": copied}
        back = site.trainer("server", "copy-runs", second.uri, first.uri)
        assert back.code == 0, back.err
        assert "1 run left out" in back.err
        assert len(runs(first.uri)) == 1
        assert len(MlflowClient(first.uri).search_model_versions("name='net'")) == 1
        client = MlflowClient(second.uri)
        experiment = client.get_experiment_by_name("nets")
        assert experiment
        [model] = client.search_logged_models([experiment.experiment_id])
        [run] = client.search_runs([experiment.experiment_id])
        assert (model.name, model.model_type, model.params, model.status) == (
            "net", "agent", {"depth": "3"}, LoggedModelStatus.READY
        )  # fmt: skip
        assert model.tags["colour"] == "red"
        assert model.model_id != original
        assert model.source_run_id == run.info.run_id
        assert [(item.key, item.value, item.step) for item in model.metrics or []] == [("loss", 0.5, 2)]
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 1
        assert [item.model_id for item in run.outputs.model_outputs] == [model.model_id]
        version = client.get_model_version("net", "1")
        assert (version.source, version.run_id) == (f"models:/{model.model_id}", run.info.run_id)
        [kept] = [path.read_text() for path in folders[1].rglob("MLmodel")]
        assert kept == "flavors: {}"


def test_logged_models_and_a_server_that_has_none(site: Site, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("old", "new", "model")]
    for folder in folders:
        folder.mkdir()
    with serving(NEWEST, folders[0]) as first, serving("2.22.1", folders[1]) as second:
        log_model(first, folders[2])
        done = site.trainer("server", "copy-runs", first.uri, second.uri)
        assert done.code == 84, done.err
        assert done.err.count("logged model cannot be copied") == 1
        assert "registered model net: version 1" in done.err
        assert [run["info"]["run_name"] for run in runs(second.uri)] == ["net"]


def test_two_servers_that_are_the_same(site: Site, tmp_path: Path) -> None:
    with serving(NEWEST, tmp_path) as server:
        call(server.uri, "POST", "runs/create", {"experiment_id": "0"})
        other = server.uri.replace("127.0.0.1", "localhost")
        for name in (server.uri, other):
            done = site.trainer("server", "copy-runs", server.uri, name)
            assert (done.code, len(done.err.strip().splitlines())) == (2, 2), done.err
        assert len(runs(server.uri)) == 1


def test_a_server_that_is_too_old_is_not_copied_to(old: Running, site: Site, tmp_path: Path) -> None:
    if old.version != TOO_OLD:
        return
    with serving(NEWEST, tmp_path) as new:
        done = site.trainer("server", "copy-runs", new.uri, old.uri)
    assert done.code == 84, done.err
    assert "needs MLflow 2.9 or newer" in done.err
