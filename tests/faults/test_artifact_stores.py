"""Artifacts whose tracking server does not pass them on: in a bucket, or in a folder of the server's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests
from mlflow import MlflowClient
from support import Site
from tracking_server import containers, services
from tracking_server.services import Bucket

from faults.away import StartedRun, check_complete
from faults.conftest import mlflow_server


@dataclass(frozen=True)
class Store:
    """A bucket, and a tracking server that names it to its clients."""

    bucket: Bucket
    uri: str

    @property
    def variables(self) -> dict[str, str]:
        """What it takes to use the bucket."""
        return {name: value for name, value in self.bucket.variables.items() if name != "S3_BUCKET"}

    def objects(self) -> set[str]:
        """The names of what is in the bucket."""
        return {file.name for file in self.bucket.folder.rglob("*") if file.is_file()}


def serving(place: Path, root: str) -> Iterator[str]:
    """A server whose artifacts go to that root, where containers reach it."""
    options = ("--host", "0.0.0.0", "--allowed-hosts", "*", "--no-serve-artifacts")
    with mlflow_server(place, containers.free_port(), *options, "--default-artifact-root", root) as uri:
        yield uri


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A bucket on a real S3 server, which containers do not reach."""
    folder = tmp_path_factory.mktemp("s3")
    try:
        with services.bucket("127.0.0.1", folder) as bucket:
            for uri in serving(folder / "server", "s3://artifacts/mlflow"):
                yield Store(bucket, uri)
    except containers.CannotRun as error:
        pytest.fail(str(error))


@pytest.fixture
def stored(site: Site, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The bucket's credentials are in secrets.env alone; afterwards this process has them, too."""
    path = site.root / "secrets.env"
    before = path.read_text()
    path.write_text(before + "".join(f"{name}={value}\n" for name, value in store.variables.items()))
    for name in store.variables:
        monkeypatch.delenv(name, raising=False)
    yield store
    path.write_text(before)


def begin(site: Site, uri: str, *arguments: str) -> StartedRun:
    """Start the probe that logs everything, and return when it has logged the first half."""
    before = set(site.leftovers())
    process = site.start("run", "probe", "--mode", "log", "--tracking-uri", uri, *arguments)
    assert process.stdout
    for line in process.stdout:
        if line.strip() == "ready":
            [run_id] = set(site.leftovers()) - before
            return StartedRun(site, process, run_id)  # type: ignore[arg-type]
    raise AssertionError(process.communicate())


def test_a_run_in_a_bucket_is_brought_there_by_its_launcher(
    site: Site, stored: Store, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(site, stored.uri)
    container = client.containers.get(f"trainer-{run.id}")
    processes = container.exec_run(["sh", "-c", "cat /proc/[0-9]*/environ"], user="root").output
    assert isinstance(processes, bytes)
    known = json.dumps(container.attrs) + processes.decode()
    assert "MLFLOW_RUN_ID" in known
    assert [name for name in stored.variables if name in known or stored.variables[name] in known] == []
    run.go()
    done = run.end()
    assert (done.code, "all logged" in done.out) == (0, True), done.err  # what it read back was right
    assert "on this disk alone" not in done.err
    assert {"hello.txt", "MLmodel", "train.log", "run.json"} <= stored.objects()
    assert "trainer-check" not in stored.objects()
    for name, value in stored.variables.items():
        monkeypatch.setenv(name, value)
    check_complete(MlflowClient(stored.uri), run.id)


def test_what_is_in_a_bucket_is_read_by_the_commands(site: Site, stored: Store) -> None:
    uri = ("--tracking-uri", stored.uri)
    done = site.trainer("run", "probe", *uri)
    assert done.code == 0, done.err
    env = {"MLFLOW_TRACKING_URI": stored.uri}
    shown = site.trainer("show", done.run_id, env=env)
    assert (shown.code, "source.tar.gz" in shown.out) == (0, True), shown
    logged = site.trainer("logs", done.run_id, env=env)
    assert (logged.code, "mode metric" in logged.out) == (0, True), logged
    again = site.trainer("reproduce", done.run_id, "--yes", env=env)
    assert again.code == 0, again


def test_a_bucket_that_is_away_keeps_the_artifacts_on_this_disk(
    site: Site, stored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with services.bucket("127.0.0.1", tmp_path) as first:
        for name, value in first.variables.items():
            monkeypatch.setenv(name, value)
        run = begin(site, stored.uri)
    run.go()
    done = run.end()
    assert done.code == 0, done.err
    assert "files" in done.err
    assert "are on this disk alone: " in done.err
    assert site.trainer("sync").code == 84
    tags = requests.get(
        f"{stored.uri}/api/2.0/mlflow/runs/get", params={"run_id": run.id}, timeout=30
    ).json()["run"]["data"]["tags"]
    assert "trainer.undelivered" in {tag["key"] for tag in tags}
    for name in first.variables:  # it comes back at another address
        monkeypatch.delenv(name)
    shutil.copytree(first.folder, stored.bucket.folder, dirs_exist_ok=True)
    synced = site.trainer("sync")
    assert (synced.code, "delivered" in synced.out) == (0, True), synced
    for name, value in stored.variables.items():
        monkeypatch.setenv(name, value)
    check_complete(MlflowClient(stored.uri), run.id)


def test_a_run_in_a_bucket_is_resumed(site: Site, stored: Store, client: docker.DockerClient) -> None:
    process = site.until_ready("--mode", "epochs", "--tracking-uri", stored.uri)
    [run_id] = site.leftovers()
    client.containers.get(f"trainer-{run_id}").kill("SIGKILL")
    process.communicate(timeout=60)
    done = site.trainer("resume", run_id, env={"MLFLOW_TRACKING_URI": stored.uri})
    assert (done.code, "going on after epoch 2" in done.out) == (0, True), done
    logs = list(stored.bucket.folder.rglob(f"{run_id}/artifacts/train.log"))
    assert [log.read_text().count("epoch 2\n") for log in logs] == [2]  # of before, and of after


def test_a_run_offline_goes_to_the_bucket_when_it_is_synced(site: Site, stored: Store) -> None:
    done = site.trainer("run", "probe", "--offline", "--tracking-uri", stored.uri)
    assert done.code == 0, done.err
    before = len(list(stored.bucket.folder.rglob("train.log")))
    synced = site.trainer("sync")
    assert (synced.code, "delivered" in synced.out) == (0, True), synced
    assert len(list(stored.bucket.folder.rglob("train.log"))) == before + 1


def test_a_bucket_that_cannot_be_written_is_reported_before_there_is_a_run(site: Site, store: Store) -> None:
    done = site.trainer("run", "probe", "--tracking-uri", store.uri, "--experiment", "denied")
    assert done.code == 84
    assert done.err.splitlines()[-2].startswith("Error: The artifact store s3://artifacts/mlflow/")
    assert "cannot be written: NoCredentialsError" in done.err
    client = MlflowClient(store.uri)
    [experiment] = [item for item in client.search_experiments() if item.name == "denied"]
    assert list(client.search_runs([experiment.experiment_id])) == []


def test_a_folder_that_is_not_here_is_refused_and_leaves_no_experiment(site: Site, tmp_path: Path) -> None:
    for uri in serving(tmp_path / "server", str(tmp_path / "of" / "the" / "server")):
        done = site.trainer("run", "probe", "--tracking-uri", uri)
        assert done.code == 84
        lines = done.err.splitlines()[-2:]
        assert lines[0].startswith(
            f"Error: Artifacts go to {tmp_path}/of/the/server/1, a folder of the tracking "
        )
        assert "--artifacts-destination in place of --default-artifact-root" in lines[1]
        client = MlflowClient(uri)
        assert [item.name for item in client.search_experiments()] == ["Default"]
        # Offline nobody could ask: it is told when the run is brought, and kept.
        assert site.trainer("run", "probe", "--offline", "--tracking-uri", uri).code == 0
        synced = site.trainer("sync")
        assert (synced.code, "a folder of the tracking server" in synced.err + synced.out) == (84, True), (
            synced
        )
        assert not (tmp_path / "of").exists()
        (tmp_path / "of" / "the").mkdir(parents=True)
        assert site.trainer("sync").code == 0
        assert list((tmp_path / "of").rglob("train.log"))


def test_a_folder_of_this_machine_is_filled_by_the_launcher(site: Site, tmp_path: Path) -> None:
    for uri in serving(tmp_path / "server", str(tmp_path / "root")):
        run = begin(site, uri)
        run.go()
        done = run.end()
        assert (done.code, "all logged" in done.out) == (0, True), done.err
        check_complete(MlflowClient(uri), run.id)
        assert [file.read_text() for file in (tmp_path / "root").rglob("hello.txt")] == ["hello"]
