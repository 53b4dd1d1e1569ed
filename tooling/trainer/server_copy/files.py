"""Artifacts on their way from one server to the other, by way of one file on this disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

from trainer.errors import TrackingError
from trainer.tracking import artifacts
from trainer.tracking.artifacts import listing as artifact_listing
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import Unreachable

_PIECE = 1 << 20


class ArtifactHolder(Protocol):
    """What has artifacts on a server."""

    def listed(self) -> dict[str, int]:
        """Their sizes by their paths. Raises `TrackingError`."""

    def read(self, path: str) -> Iterator[bytes]:
        """The content of one in pieces. Raises `TrackingError`."""

    def write(self, path: str, file: Path) -> None:
        """Store one. Raises `TrackingError`."""


@dataclass(frozen=True)
class RunArtifacts:
    """A run's artifacts."""

    client: Client
    run: Run

    def listed(self) -> dict[str, int]:
        """Their sizes by their paths."""
        artifacts = artifact_listing.of_run(self.client, self.run)
        return {file.path: file.size for file in artifacts if file.size is not None}

    def read(self, path: str) -> Iterator[bytes]:
        """The content of one in pieces."""
        if urlsplit(self.run.artifact_uri).scheme == "mlflow-artifacts":
            return self.client.download(self.run, path)
        try:
            # As its page does: the server has what its store wants, which this machine may not have.
            query = {"run_uuid": self.run.id, "path": path}
            answer = self.client.send("GET", "/get-artifact", query=query, stream=True)
        except Unreachable:
            raise
        except TrackingError:
            return artifacts.download(self.client.server, self.run.id, self.run.artifact_uri, path)
        return answer.iter_content(_PIECE)

    def write(self, path: str, file: Path) -> None:
        """Store one."""
        self.client.upload(self.run, file, path)


def copy(origin: ArtifactHolder, target: ArtifactHolder, path: str, folder: Path) -> None:
    """Bring an artifact to the other server and read it there. Raises `TrackingError` unless it is equal."""
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise TrackingError("its path leads out of the run's artifacts.", "Nothing is copied from there.")
    on_its_way = folder / "artifact"
    expected = hashlib.sha256()
    with on_its_way.open("wb") as file:
        for piece in _pieces(origin, path):
            expected.update(piece)
            file.write(piece)
    if _is_there(target, path, expected.hexdigest()):
        return
    target.write(path, on_its_way)
    if not _is_there(target, path, expected.hexdigest()):
        raise TrackingError("what arrived has another SHA-256.", "Call the same command again.")


def _is_there(holder: ArtifactHolder, path: str, digest: str) -> bool:
    actual = hashlib.sha256()
    try:
        for piece in _pieces(holder, path):
            actual.update(piece)
    except Unreachable:
        raise
    except TrackingError:
        return False
    return actual.hexdigest() == digest


def _pieces(holder: ArtifactHolder, path: str) -> Iterator[bytes]:
    import requests

    try:
        yield from holder.read(path)
    except requests.RequestException as error:
        raise TrackingError(
            f"it could not be read to its end ({type(error).__name__}).", "Call the same command again."
        ) from None
