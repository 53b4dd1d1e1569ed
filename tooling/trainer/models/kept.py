"""ONNX files that were fetched from a tracking server, and are kept in `.trainer/models/`.

Each is called by its SHA-256. An index has the digests of runs and versions: no server is asked twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainer import atomic_files, leftovers, locks
from trainer.errors import FileError, TrackingError
from trainer.leftovers import Leftover, Leftovers
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainkit.inference.predictor import Predictor

    from trainer.tracking.client import Client, Run

SUFFIX = ".onnx"
FILE = "model.onnx"
Bar = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file, and what its model is called: a path, the name of a run, or NAME@VERSION.

    `sha256` is what it has to be, None of a user's own file. `remark` is what a user should know.
    """

    path: Path
    name: str
    sha256: str | None = None
    remark: str = ""

    def open(self) -> Predictor:
        """The model in memory. Raises `InputError` as `Predictor.open`, `FileError` where it was damaged."""
        from trainkit.inference.predictor import Predictor

        predictor = Predictor.open(self.path)
        self._check(predictor.version)
        return predictor

    def checked(self) -> str:
        """Its SHA-256. Raises `FileError` as `open`."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._check(digest)
        return digest

    def _check(self, digest: str) -> None:
        if self.sha256 not in (None, digest):
            self.path.unlink()
            raise FileError(
                f"{self.path} was damaged since it was fetched; it is removed.",
                "The same command fetches it again.",
            )


def on_disk(text: str) -> ModelFile | None:
    """The file, where that is what the text names; it need not exist."""
    path = Path(text)
    return ModelFile(path, text) if path.suffix.lower() == SUFFIX or path.is_file() else None


class Kept:
    """The files that were fetched, and the index of them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._folder = folder(workspace)
        self._index = self._folder / "index.json"

    def index(self) -> dict[str, str]:
        """Digests by runs and versions, and versions by aliases."""
        try:
            return cast(dict[str, str], json.loads(self._index.read_bytes()))
        except (FileNotFoundError, ValueError):  # what is damaged is fetched again
            return {}

    def remember(self, key: str, value: str) -> None:
        """Write it into the index."""
        if self.index().get(key) != value:
            self._folder.mkdir(parents=True, exist_ok=True)
            with locks.exclusive(self._folder / "index.lock"):
                atomic_files.write(self._index, json.dumps(self.index() | {key: value}, indent=1).encode())

    def of(self, key: str, name: str) -> ModelFile | None:
        """The file of a run or version, if it was fetched before."""
        digest = self.index().get(key)
        return self._file(digest, name) if digest else None

    def fetch(
        self, key: str, name: str, client: Client, run: Run, artifact: str, sha256: str | None, bar: Bar
    ) -> ModelFile:
        """The artifact, whose digest is `sha256` where that is known. Raises `TrackingError` for another."""
        from trainer.tracking.artifacts import listing

        found = self._file(sha256, name) if sha256 else None
        if found is None:
            size = next((one.size for one in listing.of_run(client, run) if one.path == artifact), None) or 0
            with unfinished.folder(self.workspace, unfinished.DOWNLOAD) as scratch:
                digest, done = hashlib.sha256(), 0
                with (scratch / FILE).open("wb") as file:
                    for piece in client.download(run, artifact):
                        file.write(piece)
                        digest.update(piece)
                        done += len(piece)
                        bar(f"Downloading {name}", done, max(size, done))
                if sha256 not in (None, digest.hexdigest()):
                    raise TrackingError(
                        f"The ONNX file of {name} is not the one that was registered.",
                        "It was damaged or replaced on the server. Register the run again.",
                    )
                found = ModelFile(self._path(digest.hexdigest()), name, digest.hexdigest())
                self._folder.mkdir(parents=True, exist_ok=True)
                (scratch / FILE).replace(found.path)
        self.remember(key, found.path.stem)
        return found

    def _file(self, digest: str, name: str) -> ModelFile | None:
        path = self._path(digest)
        if not path.is_file():
            return None
        with contextlib.suppress(OSError):  # of a workspace that cannot be written
            os.utime(path)
        return ModelFile(path, name, digest)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}{SUFFIX}"


def folder(workspace: Workspace) -> Path:
    """Where they are."""
    return workspace.state / "models"


def unused(workspace: Workspace, days: float) -> Leftovers:
    """Those that were not used for so many days."""
    found = [
        Leftover("model", str(path), path.stat().st_size, f"not used for {age:.0f} days")
        for path in sorted(folder(workspace).glob(f"*{SUFFIX}"))
        if (age := leftovers.days(path.stat().st_mtime)) > days
    ]
    return leftovers.paths(found)
