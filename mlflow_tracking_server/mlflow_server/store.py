"""The one place that this process reads and writes artifacts in, whatever a request or a row says.

All of MLflow's handlers open a location by its registry of artifact repositories. Here it knows the server's
own store and nothing else, so that what an older server let into the database leads nowhere either.
"""

from __future__ import annotations

import os
from pathlib import Path
from posixpath import normpath
from typing import Any

Repository = Any  # MLflow's, which has no types


def pass_all_through() -> None:
    """Have this process send nobody to the bucket: it offers no addresses there for uploads and downloads.

    MLflow's clients ask what a server offers, and take what it says.
    """
    from mlflow.server import handlers

    handlers.MultipartUploadMixin = handlers.MultipartDownloadMixin = type("NotOffered", (), {})


def confine(destination: str) -> None:
    """Have this process open no artifacts but those in `destination`: a folder, or an `s3://` URL."""
    from mlflow.store.artifact import artifact_repository_registry as mlflow_registry
    from mlflow.utils.uri import get_uri_scheme

    registry = mlflow_registry._artifact_repository_registry
    scheme = get_uri_scheme(destination)
    original = registry.get_registered_artifact_repositories()[scheme]
    for other in list(registry.get_registered_artifact_repositories()):
        registry.register(other, _refuse)
    if scheme in ("", "file"):
        for local in ("", "file"):
            registry.register(local, _folder(destination))
    else:
        registry.register(scheme, _below(destination, original))


def _refuse(uri: str, **_: object) -> Repository:
    from mlflow.exceptions import MlflowException

    raise MlflowException.invalid_parameter_value(
        f"{uri} is not in this server's own store of artifacts, and is not opened."
    )


def _keep(destination: str) -> None:
    from mlflow.exceptions import MlflowException

    raise MlflowException.invalid_parameter_value(
        f"{destination} is this server's whole store of artifacts, and is not deleted."
    )


def _below(destination: str, original: type[Repository]) -> type[Repository]:
    class Below(original):  # type: ignore[misc]  # MLflow's has no types
        """A part of the bucket."""

        def __init__(self, artifact_uri: str, *arguments: object, **more: object) -> None:
            if artifact_uri != destination and not artifact_uri.startswith(f"{destination.rstrip('/')}/"):
                _refuse(artifact_uri)
            super().__init__(artifact_uri, *arguments, **more)

        def delete_artifacts(self, artifact_path: str | None = None) -> None:
            """As MLflow's, but never all of the store."""
            if normpath(f"{self.artifact_uri}/{artifact_path or ''}") == normpath(destination):
                _keep(destination)
            super().delete_artifacts(artifact_path)

    return Below


def _folder(destination: str) -> type[Repository]:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    from mlflow.utils.file_utils import local_file_uri_to_path

    root = Path(os.path.realpath(local_file_uri_to_path(destination)))

    def check(path: str, uri: str) -> None:
        if not Path(os.path.realpath(path)).is_relative_to(root):
            _refuse(uri)

    class Folder(LocalArtifactRepository):  # type: ignore[misc]  # MLflow's has no types
        """A folder of the store. MLflow itself follows links where it deletes, and to a trace's file."""

        def __init__(self, artifact_uri: str, *arguments: object, **more: object) -> None:
            check(local_file_uri_to_path(artifact_uri), artifact_uri)
            super().__init__(artifact_uri, *arguments, **more)

        def delete_artifacts(self, artifact_path: str | None = None) -> None:
            """As MLflow's, in the store alone, and never all of it."""
            path = Path(os.path.realpath(Path(self.artifact_dir, artifact_path or "")))
            if path == root:
                _keep(destination)
            check(str(path), self.artifact_uri)
            super().delete_artifacts(artifact_path)

        def download_trace_data(self) -> dict[str, object]:
            """As MLflow's, in the store alone."""
            from mlflow.tracing.utils.artifact_utils import TRACE_DATA_FILE_NAME

            check(str(Path(self.artifact_dir, TRACE_DATA_FILE_NAME)), self.artifact_uri)
            data: dict[str, object] = super().download_trace_data()
            return data

    return Folder
