"""Artifacts of servers that do not pass them on: MLflow's own client knows every store (S3, GCS, …)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.endpoint import Server
from trainer.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ADDRESS = "MLFLOW_TRACKING_URI"


def upload(server: Server, run_id: str, path: Path, artifact_path: str) -> None:
    """Store a file as the artifact of the run. Raises `TrackingError`."""
    folder, _, name = artifact_path.rpartition("/")
    with _client(server, artifact_path) as client, tempfile.TemporaryDirectory() as place:
        named = Path(place) / name
        named.symlink_to(path.resolve())
        client.log_artifact(run_id, str(named), folder or None)


def upload_to(server: Server, artifact_uri: str, path: Path, folder: str) -> None:
    """Store a file, by its own name, in the folder below an artifact URI. Raises `TrackingError`."""
    with _client(server, path.name):
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(artifact_uri, tracking_uri=server.uri).log_artifact(str(path), folder or None)


def download(server: Server, run_id: str, artifact_path: str) -> Iterator[bytes]:
    """The content of the artifact in pieces. Raises `TrackingError`."""
    with (
        _client(server, artifact_path) as client,
        tempfile.TemporaryDirectory() as place,
        Path(client.download_artifacts(run_id, artifact_path, place)).open("rb") as content,
    ):
        yield from iter(lambda: content.read(1 << 16), b"")


@contextlib.contextmanager
def _client(server: Server, artifact_path: str) -> Iterator[MlflowClient]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    os.environ.update({name: value for name, value in server.variables.items() if name != _ADDRESS})
    try:
        yield MlflowClient(server.uri)
    except (MlflowException, OSError, ImportError) as problem:
        raise TrackingError(
            f"The artifact {artifact_path} could not be stored or read: {type(problem).__name__}.",
            "The artifact store must be reachable from here, or the server started with --serve-artifacts.",
        ) from None
