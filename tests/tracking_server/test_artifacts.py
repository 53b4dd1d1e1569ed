"""Artifacts through the server, larger than its memory would hold twice, and straight to the bucket."""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracking_server import containers
from tracking_server.asking import ADMIN, PASSWORD, ask, authorization
from tracking_server.containers import Server
from tracking_server.services import Bucket
from tracking_server.training import Client

MB = 2**20
LARGE = 500 * MB
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of 500 MB that no layer below could make smaller."""
    path = tmp_path_factory.mktemp("large") / "model.bin"
    with path.open("wb") as file:
        for _ in range(LARGE // (10 * MB)):
            file.write(os.urandom(10 * MB))
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def with_bucket(bucket: Bucket) -> Iterator[Server]:
    """A server whose artifacts go to the bucket, with a volume that they pass through."""
    up = ("python", "-m", "mlflow_server", "up")
    with (
        containers.volume() as data,
        containers.serving(bucket.variables, "--volume", f"{data}:/data", command=up) as server,
    ):
        server.ready(within_s=30)
        yield server


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _request(server: Server, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    headers = {"Authorization": authorization(ADMIN, PASSWORD)}
    if isinstance(body, Path):
        with body.open("rb") as file:
            connection.request(method, path, file, {**headers, "Content-Length": str(body.stat().st_size)})
    else:
        connection.request(method, path, headers=headers)
    return connection.getresponse()


def _round_trip(server: Server, path: Path, artifact: str) -> None:
    sent = _request(server, "PUT", f"{ARTIFACTS}/{artifact}", path)
    assert (sent.status, sent.read()) == (200, b"")
    back = _request(server, "GET", f"{ARTIFACTS}/{artifact}")
    digest = hashlib.sha256()
    while chunk := back.read(MB):
        digest.update(chunk)
    assert digest.hexdigest() == _hash(path)


def _is_well(server: Server) -> None:
    assert server.inspect("{{.State.Running}} {{.State.OOMKilled}} {{.RestartCount}}") == "true false 0"
    assert ask(f"{server.url}/version").status == 200


def test_500_mb_go_to_the_servers_folder_and_come_back(server: Server, large: Path) -> None:
    _round_trip(server, large, "0/run/artifacts/model.bin")
    _is_well(server)


def test_500_mb_go_to_the_bucket_and_come_back(with_bucket: Server, bucket: Bucket, large: Path) -> None:
    _round_trip(with_bucket, large, "0/run/artifacts/model.bin")
    assert _hash(bucket.folder / "0/run/artifacts/model.bin") == _hash(large)
    _is_well(with_bucket)
    assert with_bucket.run("sh", "-c", "ls /data/spool").split() == [], "nothing of it is left behind"
    log = with_bucket.logs()
    assert "canary" not in log
    assert bucket.variables["AWS_SECRET_ACCESS_KEY"] not in log


def test_the_bucket_as_a_whole_is_not_deleted(with_bucket: Server, bucket: Bucket) -> None:
    assert ask(f"{with_bucket.url}{ARTIFACTS}/kept/a", "PUT", body="x").status == 200
    for path in (".", "./", "%2e", "file:."):
        refused = ask(f"{with_bucket.url}{ARTIFACTS}/{path}", "DELETE")
        assert (refused.status, b"INVALID_PARAMETER_VALUE" in refused.body) == (400, True), path
    assert (bucket.folder / "kept/a").exists()
    assert ask(f"{with_bucket.url}{ARTIFACTS}/kept", "DELETE").status == 200
    assert not (bucket.folder / "kept/a").exists()


def test_a_client_without_keys_sends_parts_straight_to_the_bucket(
    with_bucket: Server, bucket: Bucket, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(30 * MB))
    run_id = Client(with_bucket.port).new_run()
    before = _received(with_bucket)
    script = f"import mlflow; mlflow.MlflowClient().log_artifact({run_id!r}, {str(path)!r})"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS", "MLFLOW"))
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **environment,
            "MLFLOW_TRACKING_URI": with_bucket.url,
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
            "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(10 * MB),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [stored] = bucket.folder.glob("**/weights.bin")
    assert _hash(stored) == _hash(path)
    assert _received(with_bucket) - before < MB, "the file did not pass through the server"


def _received(server: Server) -> int:
    [line] = [line for line in server.run("cat", "/proc/net/dev").splitlines() if "eth0:" in line]
    return int(line.split()[1])
