"""ONNX files of a team's server, which is away afterwards. The workspace's own: tests/docker/models."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, put, serving

API = "/api/2.0/mlflow"
RUN = "3f4c6bc04430469fb2cde66a128e00dd"
ROOT = f"mlflow-artifacts:/1/{RUN}/artifacts"
FILE = f"/api/2.0/mlflow-artifacts/artifacts/1/{RUN}/artifacts/onnx/model.onnx"


def has(server: HttpServer, content: bytes, *, sent: bytes | None = None) -> None:
    """The server has the model skin, whose version 3 is the champion."""
    tags = {"trainer.format": "onnx", "trainer.sha256": hashlib.sha256(content).hexdigest()}
    version = {
        "name": "skin", "version": "3", "creation_timestamp": 1, "run_id": RUN, "source": f"{ROOT}/onnx",
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }  # fmt: skip
    info = {"run_id": RUN, "experiment_id": "1", "status": "FINISHED", "artifact_uri": ROOT}
    model = {
        "name": "skin",
        "creation_timestamp": 1,
        "aliases": [{"alias": "champion", "version": "3"}],
    }
    answers: dict[str, dict[str, object]] = {
        "registered-models/get": {"registered_model": model},
        "model-versions/get": {"model_version": version},
        "runs/get": {"run": {"info": info, "data": {}}},
        "artifacts/list": {"files": [{"path": "onnx/model.onnx", "is_dir": False, "file_size": 1}]},
    }  # fmt: skip
    server.replies = {f"{API}/{path}": [Reply(body=json.dumps(answer))] for path, answer in answers.items()}
    server.replies[FILE] = [Reply(content=content if sent is None else sent)]


def answered(done: Result) -> str:
    assert done.code == 0, done.err
    return str(json.loads(done.out)["predictions"][0]["class"])


def test_what_was_fetched_is_there_when_the_server_is_away(
    workspace: Workspace, trainer: Callable[..., Result], content: bytes
) -> None:
    with serving() as server:
        put(workspace.root / "trainer.yaml", f"tracking_uri: {server.uri}\n")
        has(server, content)
        assert answered(trainer("predict", "skin@champion", "red.png", "--json")) == "red"
        asked = len(server.asked)
        assert answered(trainer("predict", "skin@3", "red.png", "--json")) == "red"
        assert len(server.asked) == asked
    assert answered(trainer("predict", "skin@3", "red.png", "--json")) == "red"
    done = trainer("predict", "skin@champion", "red.png", "--json")
    assert answered(done) == "red"
    assert done.err.splitlines() == [
        "The tracking server does not answer. skin@champion was version 3 when it was last asked."
    ]
    done = trainer("predict", "skin@beta", "red.png")
    assert (done.code, done.out) == (84, "")


def test_a_version_of_another_server_is_another_model(
    workspace: Workspace, trainer: Callable[..., Result], content: bytes
) -> None:
    with serving() as server, serving() as other:
        has(server, content)
        put(workspace.root / "trainer.yaml", f"tracking_uri: {server.uri}\n")
        assert answered(trainer("predict", "skin@3", "red.png", "--json")) == "red"
        has(other, b"another", sent=b"another")
        done = trainer("predict", "skin@3", "red.png", "--tracking-uri", other.uri)
    assert done.code == 2
    assert "is no ONNX file that can be used" in done.err


def test_a_download_that_is_not_what_was_registered_leaves_nothing(
    workspace: Workspace, trainer: Callable[..., Result], content: bytes, http_server: HttpServer
) -> None:
    put(workspace.root / "trainer.yaml", f"tracking_uri: {http_server.uri}\n")
    has(http_server, content, sent=content[:-1])
    done = trainer("predict", "skin@3", "red.png")
    assert done.code == 84
    assert done.err.splitlines()[-2] == ("Error: The ONNX file of skin@3 is not the one that was registered.")
    left = [path for path in Path(workspace.state).rglob("*") if path.is_file() and path.suffix == ".onnx"]
    assert left == []


def test_a_damaged_index_is_made_again(
    workspace: Workspace, trainer: Callable[..., Result], content: bytes, http_server: HttpServer
) -> None:
    put(workspace.root / "trainer.yaml", f"tracking_uri: {http_server.uri}\n")
    has(http_server, content)
    put(workspace.state / "models" / "index.json", "{")
    assert answered(trainer("predict", "skin@3", "red.png", "--json")) == "red"
    assert RUN not in (workspace.state / "models" / "index.json").read_text()


def test_a_model_that_was_not_used_for_long_is_removed_with_the_cache(
    workspace: Workspace, trainer: Callable[..., Result], content: bytes, http_server: HttpServer
) -> None:
    put(workspace.root / "trainer.yaml", f"tracking_uri: {http_server.uri}\n")
    has(http_server, content)
    assert trainer("predict", "skin@3", "red.png").code == 0
    [file] = (workspace.state / "models").glob("*.onnx")
    os.utime(file, (1, 1))
    assert trainer("predict", "skin@3", "red.png").code == 0  # it is used
    trainer("gc", "--cache", "--yes")
    assert file.exists()
    os.utime(file, (1, 1))
    trainer("gc", "--yes")
    assert file.exists()
    trainer("gc", "--cache", "--yes")
    assert not file.exists()
