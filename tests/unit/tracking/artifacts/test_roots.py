"""Whether an experiment's artifacts can be brought to where they go is decided before there is a run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from trainer.errors import TrackingError
from trainer.tracking import artifacts
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.artifacts import stores as artifact_stores
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server

from unit.helpers import HttpServer, Reply
from unit.runs.helpers import API

ELSEWHERE = Server("http://192.0.2.1:5000")
HERE = Server("http://127.0.0.1:5000")


@pytest.fixture
def client(http_server: HttpServer) -> Client:
    return Client(Server(http_server.uri))


def experiment(server: HttpServer, location: str) -> None:
    payload = {"experiment": {"experiment_id": "7", "artifact_location": location}}
    server.replies[f"{API}/experiments/get"] = [Reply(body=json.dumps(payload))]


def test_a_server_that_takes_artifacts_itself_needs_nothing() -> None:
    artifact_roots.check(ELSEWHERE, "mlflow-artifacts:/7", has_trainkit=False)


def test_a_folder_of_another_machine_is_refused(tmp_path: Path) -> None:
    for uri in (str(tmp_path / "7"), f"file://{tmp_path}/7"):
        with pytest.raises(TrackingError, match=f"Artifacts go to {uri}, a folder of the tracking server"):
            artifact_roots.check(ELSEWHERE, uri, has_trainkit=True)


def test_a_folder_of_a_server_on_this_machine_is_taken_if_it_is_here(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "7", tmp_path / "root" / "7"):
        artifact_roots.check(HERE, str(place), has_trainkit=True)
    for place in (tmp_path / "a" / "b" / "7", Path("/not-here/7"), Path("/not-here")):
        with pytest.raises(TrackingError, match="they would be lost"):
            artifact_roots.check(HERE, str(place), has_trainkit=True)


def test_a_run_in_an_image_without_trainkit_does_not_reach_a_folder(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="which a run in an image without trainkit does not reach"):
        artifact_roots.check(HERE, str(tmp_path), has_trainkit=False)


AZURE = "azure-identity azure-storage-blob azure-storage-file-datalake"


@pytest.mark.parametrize(
    ("uri", "module", "package"),
    [
        ("s3://bucket/7", "boto3", "boto3"),
        ("gs://bucket/7", "google.cloud.storage", "google-cloud-storage"),
        (
            "wasbs://c@a.blob.core.windows.net/7",
            "azure.identity",
            AZURE,
        ),
        (
            "abfss://c@a.dfs.core.windows.net/7",
            "azure.identity",
            AZURE,
        ),
    ],
)
def test_what_it_takes_to_use_a_store_is_named(
    monkeypatch: pytest.MonkeyPatch, uri: str, module: str, package: str
) -> None:
    monkeypatch.setattr(artifact_stores, "find_spec", lambda _: None)
    with pytest.raises(TrackingError) as refused:
        artifact_roots.check(HERE, uri, has_trainkit=True)
    assert f"go to {uri}, and {module}, which stores them there, is not" in refused.value.message
    assert refused.value.hint.endswith(f"{sys.executable} -m pip install {package}")


def test_a_store_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_roots, "_TRY_S", 0)
    monkeypatch.setattr(artifacts, "try_to_write", lambda *_: time.sleep(1))
    with pytest.raises(TrackingError, match="The artifact store s3://bucket/7 gave no answer in 0 s"):
        artifact_roots.check(HERE, "s3://bucket/7", has_trainkit=True)


def test_an_experiment_that_was_made_for_a_folder_elsewhere_gives_its_name_back(
    client: Client, http_server: HttpServer
) -> None:
    http_server.replies["*"] = [Reply(body='{"experiment_id": "7"}')]
    experiment(http_server, "/not-here/artifacts/7")
    with pytest.raises(TrackingError):
        artifact_roots.make(client, "demo", has_trainkit=True)
    update, delete = http_server.asked[-2:]
    assert json.loads(update.body)["new_name"].startswith("demo (not used: ")
    assert (delete.path, json.loads(delete.body)) == (f"{API}/experiments/delete", {"experiment_id": "7"})


def test_an_experiment_whose_bucket_cannot_be_written_now_stays(
    client: Client, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.replies["*"] = [Reply(body='{"experiment_id": "7"}')]
    experiment(http_server, "s3://bucket/7")
    monkeypatch.setattr(artifact_stores, "find_spec", lambda _: None)
    with pytest.raises(TrackingError, match="boto3"):
        artifact_roots.make(client, "demo", has_trainkit=True)
    assert http_server.asked[-1].path.startswith(f"{API}/experiments/get")


def test_the_server_has_to_see_what_was_put_into_a_folder(client: Client, http_server: HttpServer) -> None:
    listed = f"{API}/artifacts/list"
    http_server.replies[listed] = [Reply(body='{"files": [{"path": "trainer/source.tar.gz"}]}')]
    artifact_roots.see(client, "r1", "/srv/7/r1/artifacts", "trainer/source.tar.gz")
    http_server.replies[listed] = [Reply(body="{}")]
    artifact_roots.see(client, "r1", "s3://bucket/7/r1/artifacts", "trainer/source.tar.gz")
    with pytest.raises(TrackingError, match="does not see what was put into /srv/7/r1/artifacts"):
        artifact_roots.see(client, "r1", "/srv/7/r1/artifacts", "trainer/source.tar.gz")
