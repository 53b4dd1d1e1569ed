"""MLflow over a spool whose server is not there."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import artifact_repository_registry as artifacts
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.tracking._model_registry import utils as registries
from mlflow.tracking._tracking_service import utils as trackings
from trainkit.spool import artifacts as spool_artifacts
from trainkit.spool import plugin
from trainkit.spool.journal import Spool
from trainkit.spool.view import View

ADDRESS = "http://127.0.0.1:9"  # nobody listens there
REGISTERED = artifacts._artifact_repository_registry.get_registered_artifact_repositories()
RUN_ID = "0123456789abcdef0123456789abcdef"
RUN = {
    "info": {
        "run_id": RUN_ID, "run_uuid": RUN_ID, "experiment_id": "7", "run_name": "hen", "status": "RUNNING",
        "start_time": 1, "artifact_uri": f"mlflow-artifacts:/7/{RUN_ID}/artifacts",
        "lifecycle_stage": "active",
    },
    "data": {"params": [{"key": "epochs", "value": "3"}]},
    "experiment": {"experiment_id": "7", "name": "demo", "lifecycle_stage": "active"},
}  # fmt: skip


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    """A run whose MLflow logs to a spool, as the entry points make it in an image."""
    spool = Spool(tmp_path / "spool")
    spool.create(RUN)
    spool.sending()  # for good: the threads that the test starts outlive it, and are to say nothing then
    monkeypatch.setenv("TRAINER_SPOOL", str(spool.folder))
    monkeypatch.setenv("TRAINER_OFFLINE", "1")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # images have no tqdm
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    trackings._register("spool+http", plugin.tracking_store)
    registries._get_store_registry().register("spool+http", plugin.registry_store)
    repositories = artifacts._artifact_repository_registry
    monkeypatch.setitem(repositories._registry, "mlflow-artifacts", plugin.artifact_repository)
    trackings._artifact_repos_cache.clear()
    uri = f"spool+{ADDRESS}/{tmp_path.name}"  # MLflow keeps one store an address
    mlflow.set_tracking_uri(uri)
    yield spool
    mlflow.set_tracking_uri(None)  # no address, as before: the default's would outlast the test
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    trackings._artifact_repos_cache.clear()


def test_what_was_logged_is_on_the_disk_and_can_be_asked_for(spool: Spool) -> None:
    client = MlflowClient()
    for step in range(3):
        client.log_metric(RUN_ID, "loss", 1 / (step + 1), step=step)
    client.log_metric(RUN_ID, "later", 1.0, synchronous=False).wait()
    client.set_tag(RUN_ID, "a", "b")
    client.delete_tag(RUN_ID, "a")
    run = client.get_run(RUN_ID)
    assert (run.info.run_name, run.data.params) == ("hen", {"epochs": "3"})
    assert (run.data.metrics, run.data.tags) == ({"loss": 1 / 3, "later": 1.0}, {})
    assert [p.value for p in client.get_metric_history(RUN_ID, "loss")] == [1, 1 / 2, 1 / 3]
    assert len(spool.pending()) == 6


def test_files_wait_and_can_be_read(spool: Spool, tmp_path: Path) -> None:
    client = MlflowClient()
    client.log_text(RUN_ID, "hello", "notes/hello.txt")
    assert [(f.path, f.is_dir) for f in client.list_artifacts(RUN_ID)] == [("notes", True)]
    assert [(f.path, f.file_size) for f in client.list_artifacts(RUN_ID, "notes")] == [("notes/hello.txt", 5)]
    assert Path(client.download_artifacts(RUN_ID, "notes/hello.txt", str(tmp_path))).read_text() == "hello"
    [waiting] = spool.pending()
    assert waiting["path"] == "notes"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (lambda client: client.log_metric(RUN_ID, "no:colon?", 1.0), "Invalid value"),
        (lambda client: client.log_metric(RUN_ID, "loss", "text"), "Invalid value \"text\""),
        (lambda client: client.log_param(RUN_ID, "epochs", 4), "Changing param values is not allowed"),
        (lambda client: client.search_runs(["7"]), "asked of the tracking server"),
        (lambda client: client.create_registered_model("m"), "The model registry cannot wait"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_an_error_at_once(spool: Spool, log: object, said: str) -> None:
    assert callable(log)
    with pytest.raises(MlflowException, match=said):
        log(MlflowClient())
    assert spool.pending() == []


def test_a_child_and_a_model_get_made_up_ids(spool: Spool) -> None:
    client = MlflowClient()
    child = client.create_run("7", run_name="child")
    model = client.create_logged_model("7", name="model", source_run_id=RUN_ID)
    assert client.get_run(child.info.run_id).info.run_name == "child"
    assert client.get_logged_model(model.model_id).name == "model"
    assert client.get_experiment("7").name == "demo"
    assert [record["create"] for record in spool.pending()] == ["run", "model"]


def test_a_file_that_is_not_there_is_the_error_that_mlflow_has_for_it(spool: Spool, tmp_path: Path) -> None:
    missing = tmp_path / "confusion_matrix.png"
    with pytest.raises(FileNotFoundError) as raised:
        MlflowClient().log_artifact(RUN_ID, str(missing))
    assert raised.value.filename == str(missing)
    assert not (spool.folder / "outbox").exists()


def test_names_that_the_server_cannot_store_are_distinguished_and_said(
    spool: Spool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient()
    for name in ("a b.txt", "a%20b.txt", "val#2.txt", "val", "100%.txt"):
        (tmp_path / name).write_text(name)
        client.log_artifact(RUN_ID, str(tmp_path / name), "odd")
    stored = ["odd/100%.txt", "odd/a b.txt", "odd/a~2520b.txt", "odd/val", "odd/val~232.txt"]
    assert [file.path for file in client.list_artifacts(RUN_ID, "odd")] == stored
    place = client.download_artifacts(RUN_ID, "odd/val~232.txt", str(tmp_path))
    assert Path(place).read_text() == "val#2.txt"
    assert [record["path"] for record in spool.pending()] == ["odd"] * 5
    assert capfd.readouterr().err == (
        "Tracking: the server cannot store the name 'odd/a%20b.txt': it is 'odd/a~2520b.txt' there.\n"
        "Tracking: the server cannot store the name 'odd/val#2.txt': it is 'odd/val~232.txt' there.\n"
    )


@pytest.mark.parametrize(
    ("name", "stored", "said"),
    [
        ("caf\udce9.txt", "caf~E9.txt", r"caf\udce9.txt"),  # from an archive that was made in Latin-1
        ("a\nb.txt", "a~0Ab.txt", r"a\nb.txt"),
        ("a\x7fb.txt", "a~7Fb.txt", r"a\x7fb.txt"),
    ],
)
def test_a_name_that_is_no_text_is_stored_in_letters(
    spool: Spool, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, stored: str, said: str
) -> None:
    (tmp_path / name).write_text("content")
    MlflowClient().log_artifact(RUN_ID, str(tmp_path / name))
    assert [file.path for file in MlflowClient().list_artifacts(RUN_ID)] == [stored]
    assert [str(record["file"]).rpartition("/")[2] for record in spool.pending()] == [stored]
    assert capfd.readouterr().err == (
        f"Tracking: the server cannot store the name '{said}': it is '{stored}' there.\n"
    )


def test_children_that_were_left_running_are_known(spool: Spool) -> None:
    ids: dict[str, str] = {}
    for name, parent in (("inner", None), ("ended", None), ("innermost", "inner"), ("other", "")):
        above = RUN_ID if parent is None else ids.get(parent, "")
        tags = {"mlflow.parentRunId": above} if above else {}
        ids[name] = MlflowClient().create_run("7", tags=tags).info.run_id
    MlflowClient().set_terminated(ids["ended"])
    assert View(spool).running_below(RUN_ID) == [ids["inner"], ids["innermost"]]


def test_a_full_disk_is_an_error_of_the_log_call(spool: Spool) -> None:
    client = MlflowClient()
    client.log_metric(RUN_ID, "loss", 1.0, step=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.journal.stat().st_size + 20, limits[1]))
        with pytest.raises(MlflowException, match=r"could not be written to .* make space"):
            client.log_metric(RUN_ID, "loss", 0.5, step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    client.log_metric(RUN_ID, "loss", 0.25, step=3)
    assert [p.step for p in client.get_metric_history(RUN_ID, "loss")] == [1, 3]


def test_without_a_spool_the_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_SPOOL", str(tmp_path))
    with pytest.raises(MlflowException, match="which `trainer run` makes"):
        plugin.tracking_store("spool+http://h:1")


@pytest.mark.parametrize("root", ["s3://bucket/7", "/srv/mlruns/7", "file:///srv/mlruns/7"])
def test_artifacts_of_a_store_stay_for_the_launcher(
    spool: Spool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    root: str,
) -> None:
    monkeypatch.setattr(artifacts._artifact_repository_registry, "_registry", dict(REGISTERED))
    monkeypatch.setattr(spool_artifacts, "_taken", set())
    uri = f"{root}/{RUN_ID}/artifacts"
    spool.create({**RUN, "info": {**cast(dict[str, str], RUN["info"]), "artifact_uri": uri}})
    spool.leave_artifacts()
    client = MlflowClient()
    client.log_text(RUN_ID, "hello", "notes/hello.txt")
    [waits] = spool.pending()
    assert (waits["uri"], waits["path"]) == (uri, "notes")
    assert mlflow.artifacts.load_text(f"{uri}/notes/hello.txt") == "hello"
    assert [file.path for file in client.list_artifacts(RUN_ID, "notes")] == ["notes/hello.txt"]
    with pytest.raises(MlflowException):
        client.download_artifacts(RUN_ID, "notes/earlier.txt", str(tmp_path))
    output = capfd.readouterr().err
    assert f"earlier.txt is not here, and a run has no credentials of {root}" in output
    # A file that the script itself has is no artifact of the run.
    (tmp_path / "own.txt").write_text("own")
    assert mlflow.artifacts.load_text(str(tmp_path / "own.txt")) == "own"


@pytest.mark.usefixtures("spool")
def test_the_registry_waits_for_a_server_that_is_away_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = plugin.registry_store(mlflow.get_tracking_uri())
    monkeypatch.delenv("TRAINER_OFFLINE")
    drained = iter([False, True])
    monkeypatch.setattr(registry._tracking.sender, "drain", lambda _: next(drained))
    monkeypatch.setattr(RestStore, "_call_endpoint", lambda _self, _api, body: body)
    assert registry._call_endpoint(None, '{"name": "m"}') == '{"name": "m"}'


def test_a_version_of_a_model_that_is_files_of_a_run_names_these(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, place = "m-" + "0a" * 16, f"mlflow-artifacts:/7/{RUN_ID}/artifacts/model"
    spool.name({
        model: model[2:], f"models:/{model}": f"runs:/{RUN_ID}/model",
        f"mlflow-artifacts:/offline/{model}/artifacts": place,
    })  # fmt: skip
    registry = plugin.registry_store(mlflow.get_tracking_uri())
    monkeypatch.setattr(registry._tracking.sender, "drain", lambda _: True)
    monkeypatch.setattr(RestStore, "_call_endpoint", lambda _self, _api, body: body)
    body = json.dumps({"name": "m", "source": f"models:/{model}", "model_id": model})
    assert json.loads(registry._call_endpoint(None, body)) == {
        "name": "m", "source": place, "run_id": RUN_ID
    }  # fmt: skip


def test_what_has_a_made_up_address_is_found_by_the_servers(spool: Spool, tmp_path: Path) -> None:
    made_up = "mlflow-artifacts:/offline/m-0/artifacts"
    (tmp_path / "MLmodel").write_text("flavors: {}")
    kept = spool.keep(tmp_path / "MLmodel", "MLmodel")
    spool.append({"file": kept, "uri": made_up, "path": ""})
    spool.name({made_up: "s3://bucket/7/r1/artifacts/model"})
    for uri in (made_up, "s3://bucket/7/r1/artifacts/model"):
        assert View(spool).files(uri) == {"MLmodel": kept}
    assert View(spool).files("s3://bucket/7/r1/artifacts") == {"model/MLmodel": kept}
