"""Every command that asks a tracking server, against each version of it: the table in docs/servers.md."""

from __future__ import annotations

import json
from typing import Any

import requests
import yaml
from support import REPOSITORY, Result
from trainer.images import spec
from trainer.workspace import settings

from servers.conftest import Place

API = "/api/2.0/mlflow"
Json = Any  # as JSON is


def ask(place: Place, path: str, **query: str) -> Json:
    answer = requests.get(f"{place.server.uri}{API}/{path}", params=query, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


def run_of(place: Place, run_id: str) -> Json:
    return ask(place, "runs/get", run_id=run_id)["run"]


def tags(run: Json) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def stored(place: Place, run: Json, path: str) -> str:
    root = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    answer = requests.get(f"{place.server.uri}/api/2.0/mlflow-artifacts/artifacts/{root}/{path}", timeout=60)
    assert answer.ok, answer.text
    return answer.text


def check_model(place: Place, run_id: str) -> None:
    """The run has its model as its server knows models, and nothing was refused."""
    run = run_of(place, run_id)
    assert run["info"]["status"] == "FINISHED"
    assert not {"trainer.refused", "trainer.undelivered"} & tags(run).keys()
    if place.server.has_logged_models:
        body = {"experiment_ids": [run["info"]["experiment_id"]], "filter": "name = 'model'"}
        result = requests.post(f"{place.server.uri}{API}/logged-models/search", json=body, timeout=60).json()
        [info] = [item["info"] for item in result["models"] if item["info"]["source_run_id"] == run_id]
        assert info["status"] == "LOGGED_MODEL_READY"
        assert tags(run)["model"] == f"models:/{info['model_id']}"
        return
    assert tags(run)["model"] == f"runs:/{run_id}/model"
    described = yaml.safe_load(stored(place, run, "model/MLmodel"))
    assert (described["run_id"], described["artifact_path"]) == (run_id, "model")
    assert "model_id" not in described
    assert stored(place, run, "model/model.pkl")
    [shown] = json.loads(tags(run)["mlflow.log-model.history"])
    assert (shown["artifact_path"], shown["run_id"]) == ("model", run_id)
    assert "sklearn" in shown["flavors"]


def test_run(place: Place, trained: Result) -> None:
    run = run_of(place, trained.run_id)
    assert run["info"]["status"] == "FINISHED"
    assert {metric["key"]: metric["value"] for metric in run["data"]["metrics"]} == {"loss": 0.2}
    assert {"key": "colour", "value": "blue"} in run["data"]["params"]
    assert "three" in {given["dataset"]["name"] for given in run["inputs"]["dataset_inputs"]}
    assert stored(place, run, "notes/hello.txt") == "hello"
    asked = {"run_id": trained.run_id, "metric_key": "loss", "max_results": "9"}  # MLflow 3.1 gives none else
    history = ask(place, "metrics/get-history", **asked)["metrics"]
    assert [point.get("step", 0) for point in history] == [0, 1, 2, 3, 4]


def test_model(place: Place, trained: Result) -> None:
    check_model(place, trained.run_id)
    assert trained.out.count("predicted 8") == 4
    said = f"the server has MLflow {place.server.version}, without logged models"
    assert trained.out.count(said) == (not place.server.has_logged_models)


def test_registered_model(place: Place, trained: Result) -> None:
    version = ask(place, "registered-models/alias", name="registered", alias="best")["model_version"]
    assert version["version"] == "1"
    if not place.server.has_logged_models:
        root = run_of(place, trained.run_id)["info"]["artifact_uri"]
        assert (version["run_id"], version["source"]) == (trained.run_id, f"{root}/model")


def test_runs(place: Place, trained: Result) -> None:
    listed = place.site.trainer("runs", "--json")
    assert listed.code == 0, listed.err
    assert trained.run_id in {run["run_id"] for run in json.loads(listed.out)}


def test_show(place: Place, trained: Result) -> None:
    shown = place.site.trainer("show", trained.run_id)
    assert shown.code == 0, shown.err
    assert "loss" in shown.out
    assert "notes" in shown.out


def test_compare(place: Place, trained: Result) -> None:
    other = place.site.trainer("run", "probe")
    compared = place.site.trainer("compare", trained.run_id, other.run_id)
    assert compared.code == 0, compared.err
    assert "loss" in compared.out


def test_logs(place: Place, trained: Result) -> None:
    assert "predicted 8" in place.site.trainer("logs", trained.run_id).out


def test_offline_and_sync(place: Place) -> None:
    offline = place.model("--offline")
    assert offline.code == 0, offline.err
    synced = place.site.trainer("sync", "--json")
    assert synced.code == 0, synced.err
    [one] = json.loads(synced.out)
    assert (one["delivered"], one["status"], one["refused"]) == (True, "FINISHED", 0)
    [run] = [
        run
        for run in json.loads(place.site.trainer("runs", "--json").out)
        if run["name"].startswith("offline-")
    ]
    check_model(place, run["run_id"])


def test_reproduce(place: Place, trained: Result) -> None:
    again = place.site.trainer("reproduce", trained.run_id)
    assert again.code == 0, again.err
    [new] = [
        run for run in json.loads(place.site.trainer("runs", "--json").out) if run["name"].endswith("-again")
    ]
    run = run_of(place, new["run_id"])
    assert tags(run)["trainer.reproduced"] == "exactly"


def test_an_image_with_an_mlflow_of_its_own(place: Place) -> None:
    project = place.site.root / "train_code" / "foreign"
    project.mkdir()
    image = spec.chosen_base(settings.find(REPOSITORY))
    (project / "MLproject").write_text(
        f"docker_env: {{image: '{image}'}}\nentry_points: {{main: {{command: 'true'}}}}\n"
    )
    done = place.site.trainer("run", "foreign")
    assert done.code == 0, done.err
    assert done.err.count("MLflow 3 fails there at log_model") == (not place.server.has_logged_models)
    # Nothing of its image is stored, which MLflow 2 answers with a 500.
    again = place.site.trainer("reproduce", done.run_id)
    assert again.code == 0, again.err


def test_resume(place: Place) -> None:
    failed = place.site.trainer("run", "probe", "--mode", "exit")
    assert failed.code == 3, failed.err
    assert place.site.trainer("resume", failed.run_id, "--from-scratch").code == 3
    run = run_of(place, failed.run_id)
    assert (run["info"]["status"], tags(run)["trainer.restarts"]) == ("FAILED", "1")


def test_doctor(place: Place) -> None:
    done = place.site.trainer("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.out)}
    assert checks["tracking server"]["status"] == "ok"
    version = checks["MLflow versions"]
    assert version["status"] == ("ok" if place.server.has_logged_models else "warning")
    assert place.server.version in version["found"]


def test_ui_and_env(place: Place) -> None:
    page = place.site.trainer("ui", "--no-browser").out.strip()
    assert requests.get(page, timeout=60).ok
    payload = json.loads(place.site.trainer("env", "--json").out)
    assert payload == {"MLFLOW_TRACKING_URI": place.server.uri}
