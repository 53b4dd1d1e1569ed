"""Artifacts of servers that do not pass them on: MLflow's own client knows every store (S3, GCS, …)."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.spool.responses import plain

from trainer.errors import TrackingError, TrainerError
from trainer.tracking.artifacts import stores as artifact_stores
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import no_artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOG = logging.getLogger(__name__)
_ADDRESS = "MLFLOW_TRACKING_URI"
_CREDENTIALS_OF_SERVERS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
TRIAL = "trainer-check"
TRIAL_TEXT = "Written by trainer to see whether it can."
_REACHABLE = "The artifact store must be reachable from here, or the server started with --serve-artifacts."
_AWAY = "See whether the store runs and can be reached from here; of S3, check MLFLOW_S3_ENDPOINT_URL."
_CREDENTIALS = (
    "Set what its client needs (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, MLFLOW_S3_ENDPOINT_URL, …) in the "
    "environment or in secrets.env: trainer secrets set NAME"
)


def upload(server: Server, run_id: str, path: Path, artifact_path: str) -> None:
    """Store a file as the artifact of the run. Raises `TrackingError`."""
    folder, _, name = artifact_path.rpartition("/")
    _LOG.info("MLflow's client stores the artifact %s of run %s", artifact_path, run_id)
    with _client(server, _about(artifact_path)) as client, tempfile.TemporaryDirectory() as scratch:
        named = Path(scratch) / name
        named.symlink_to(path.resolve())
        client.log_artifact(run_id, str(named), folder or None)


def upload_to(server: Server, artifact_uri: str, path: Path, folder: str) -> None:
    """Store a file, by its own name, in the folder below an artifact URI. Raises `TrackingError`."""
    artifact_stores.check_client(artifact_uri)
    _LOG.info("MLflow's client stores %s below %s", path.name, artifact_uri)
    with _client(server, _about(path.name)):
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(artifact_uri, tracking_uri=server.uri).log_artifact(str(path), folder or None)


def try_to_write(server: Server, artifact_uri: str) -> None:
    """Store a small file below an artifact URI and delete it. Raises `TrackingError`."""
    artifact_stores.check_client(artifact_uri)
    subject = f"The artifact store {artifact_uri} cannot be written"
    with _client(server, subject, _CREDENTIALS), tempfile.TemporaryDirectory() as folder:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        (Path(folder) / TRIAL).write_text(TRIAL_TEXT)
        repository = get_artifact_repository(artifact_uri, tracking_uri=server.uri)
        repository.log_artifact(str(Path(folder) / TRIAL))
        with contextlib.suppress(Exception):  # to delete may not be allowed, and is not needed for a run
            repository.delete_artifacts(TRIAL)


def download(server: Server, run_id: str, artifact_uri: str, artifact_path: str) -> Iterator[bytes]:
    """The content of an artifact of the run, whose artifacts are below `artifact_uri`, in pieces.

    Raises `TrackingError`, of it `NotThere` where the run has no such artifact.
    """
    _LOG.info("MLflow's client reads the artifact %s of run %s", artifact_path, run_id)
    with _client(server, _about(artifact_path)) as client, tempfile.TemporaryDirectory() as folder:
        try:
            file = Path(client.download_artifacts(run_id, artifact_path, folder))
        except Exception:
            # What is not there is another exception with each store.
            if _has(server, artifact_uri, artifact_path):
                raise
            raise no_artifact(run_id, artifact_path) from None
        with file.open("rb") as content:
            yield from iter(lambda: content.read(1 << 16), b"")


def fetch(server: Server, artifact_uri: str, folder: Path) -> None:
    """Copy all that is below an artifact URI into the folder, by MLflow's client. Raises `TrackingError`."""
    artifact_stores.check_client(artifact_uri)
    _LOG.info("MLflow's client reads all of %s", artifact_uri)
    with _client(server, "The artifacts could not be read", _CREDENTIALS):
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(artifact_uri, tracking_uri=server.uri).download_artifacts("", str(folder))


def _has(server: Server, artifact_uri: str, artifact_path: str) -> bool:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(artifact_uri, tracking_uri=server.uri)
    folder = artifact_path.rpartition("/")[0]
    return artifact_path in {file.path for file in repository.list_artifacts(folder or None)}


def _about(artifact: str) -> str:
    return f"The artifact {artifact} could not be stored or read"


def listed(server: Server, artifact_uri: str, folder: str = "") -> Iterator[tuple[str, int | None]]:
    """What is below an address, each folder before what is in it: path, and size or None of a folder."""
    artifact_stores.check_client(artifact_uri)
    with _client(server, "The artifacts could not be listed", _CREDENTIALS):
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        # Not by the client, which asks for logged models too: a server of MLflow 2 has no such route.
        repository = get_artifact_repository(artifact_uri, tracking_uri=server.uri)
        artifacts = repository.list_artifacts(folder or None)
    for file in artifacts:
        yield file.path, None if file.is_dir else int(file.file_size or 0)
        if file.is_dir:
            yield from listed(server, artifact_uri, file.path)


@contextlib.contextmanager
def _client(server: Server, subject: str, hint: str = _REACHABLE) -> Iterator[MlflowClient]:
    from mlflow import MlflowClient

    for name in _CREDENTIALS_OF_SERVERS:  # which may be those of another server
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in server.environment.items() if name != _ADDRESS})
    try:
        yield MlflowClient(server.uri)
    except TrainerError:
        raise
    except Exception as error:  # noqa: BLE001 (the client of each store has exceptions of its own)
        is_away = "Connect" in type(error).__name__
        raise TrackingError(f"{subject}: {_message_of(error)}", _AWAY if is_away else hint) from None


def _message_of(error: Exception) -> str:
    message = plain(str(error).strip().partition("\n")[0])
    return f"{type(error).__name__}: {message}" if message else f"{type(error).__name__}."
