"""A run's artifacts over its spool: files are copied to the outbox, and read from it while they wait."""

from __future__ import annotations

import os
import posixpath
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mlflow import get_tracking_uri
from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository, verify_artifact_path
from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry as registry
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking._tracking_service.utils import _get_store
from mlflow.utils.uri import get_uri_scheme

from trainkit.spool.names import replaced

if TYPE_CHECKING:
    from trainkit.spool.store import SpoolStore

_PATIENCE_S = 60.0  # a model may be on its way
_taken: set[str] = set()


def take(root: str) -> None:
    """Have MLflow keep in the spool what is logged below `root`. All other addresses stay MLflow's."""
    if root in _taken:
        return
    _taken.add(root)
    scheme = get_uri_scheme(root)
    of_mlflow = registry.get_registered_artifact_repositories()[scheme]

    def repository(
        artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> ArtifactRepository:
        is_spooled = (tracking_uri or get_tracking_uri()).startswith("spool+")
        is_ours = is_spooled and artifact_uri.startswith(f"{root}/")
        return (SpoolArtifacts if is_ours else of_mlflow)(artifact_uri, tracking_uri, registry_uri)

    registry.register(scheme, repository)


class SpoolArtifacts(ArtifactRepository):  # type: ignore[misc]  # mlflow is not typed
    """Artifacts of a server that is reached by `spool+http://…`: at `mlflow-artifacts:…`, or in the store of
    its runs, which a run has no credentials of.
    """

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._store: SpoolStore = _get_store(tracking_uri or get_tracking_uri())

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Keep the file as it is now."""
        verify_artifact_path(artifact_path)
        self._store.keep(Path(local_file), self.artifact_uri, artifact_path or "")

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Keep all files of the folder as they are now."""
        verify_artifact_path(artifact_path)
        for file in sorted(Path(local_dir).rglob("*")):
            if file.is_file():
                folder = PurePosixPath(artifact_path or "", file.parent.relative_to(local_dir).as_posix())
                path = "" if folder == PurePosixPath() else str(folder)
                self._store.keep(file, self.artifact_uri, path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What the server has; where it is away or has another store, what was logged from here."""
        if repository := self._server():
            return list(repository.list_artifacts(path))
        above = PurePosixPath(path or "")
        entries: dict[str, FileInfo] = {}
        for name, file in self._store.view.files(self.artifact_uri).items():
            inner = PurePosixPath(name)
            if above not in inner.parents:
                continue
            child = above / inner.relative_to(above).parts[0]
            is_file = child == inner
            local_file = self._store.spool.folder / file
            size = local_file.stat().st_size if is_file and local_file.exists() else None
            entries[str(child)] = FileInfo(str(child), not is_file, size)
        return [entries[name] for name in sorted(entries)]

    def download_artifacts(self, artifact_path: str | None, dst_path: str | None = None) -> str:
        """As MLflow does it, which looks for a model among the run's artifacts first.

        What is not there is said at once: some servers answer 500, which MLflow repeats for minutes.
        """
        if (
            artifact_path
            and self._server()
            and not self._has(PurePosixPath(posixpath.normpath(artifact_path)))
        ):
            raise FileNotFoundError(f"There is no {artifact_path} at {self.artifact_uri}")
        if self._store.spool.leaves_artifacts:
            self._tell_if_elsewhere(PurePosixPath(artifact_path or ""))
        return str(super().download_artifacts(artifact_path, dst_path))

    def _has(self, path: PurePosixPath) -> bool:
        above = None if path.parent == PurePosixPath() else str(path.parent)
        return any(PurePosixPath(entry.path) == path for entry in self.list_artifacts(above))

    def _tell_if_elsewhere(self, path: PurePosixPath) -> None:
        """MLflow itself would only doubt the path, or find nothing."""
        view = self._store.view
        files = map(PurePosixPath, view.files(self.artifact_uri))
        is_here = any(path in (file, *file.parents) for file in files)
        # MLflow asks a run also for what is one of its logged models.
        if not is_here and not view.models(path.parts[0] if path.parts else ""):
            what = f"{self.artifact_uri}/{path}".removesuffix("/.")
            os.write(2, f"Tracking: {what} is not here, and {self._elsewhere}.\n".encode())

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        if repository := self._server():
            repository._download_file(remote_file_path, local_path)
            return
        file = self._store.view.files(self.artifact_uri).get(remote_file_path)
        if file is None or not (self._store.spool.folder / file).exists():
            raise FileNotFoundError(f"{remote_file_path} is not here, and {self._elsewhere}")
        shutil.copyfile(self._store.spool.folder / file, local_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete on the server; it cannot be deferred."""
        repository = self._server()
        if repository is None:
            raise OSError(f"Artifacts can only be deleted on the tracking server, and {self._elsewhere}")
        repository.delete_artifacts(artifact_path)

    @property
    def _elsewhere(self) -> str:
        if not self._store.spool.leaves_artifacts:
            return "the tracking server is away"
        return f"a run has no credentials of {self.artifact_uri}: it sees what it logged itself"

    def _server(self) -> MlflowArtifactsRepository | None:
        """The server's own, if it has everything that was logged."""
        if self._store.spool.leaves_artifacts:
            return None
        if not self._store.sender.drain(_PATIENCE_S):
            return None
        uri = replaced(self.artifact_uri, self._store.spool.names())
        return MlflowArtifactsRepository(uri, self._store.address)
