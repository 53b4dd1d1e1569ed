"""What a container of a served model has in its volume: ONNX files, which of them is served, the token."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container
    from trainkit.inference.serving_file import Entry, ServingFile

FOLDER = "/model"
_SERVING, _TOKEN = "serving.json", "token"
SERVING_FILE, TOKEN_FILE = f"{FOLDER}/{_SERVING}", f"{FOLDER}/{_TOKEN}"
NOBODY = 65534


@dataclass(frozen=True)
class Model:
    """An ONNX file that is to be served. `label` is what the user called it, `version` that of a registry."""

    path: Path
    digest: str
    label: str
    version: str | None = None

    @property
    def entry(self) -> Entry:
        """What the server is told of it."""
        from trainkit.inference.serving_file import Entry

        return Entry(file=f"{self.digest}.onnx", label=self.label, version=self.version)

    @property
    def called(self) -> str:
        """NAME@VERSION of a registered model, else what the user called it."""
        return self.entry.called


def put(
    container: Container, models: Sequence[Model], serving: ServingFile, token: str | None = None
) -> None:
    """Put files into it, which the server may read and not write.

    The one that says what is served comes last: a server that sees it has the others.
    """
    with TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for model in models:
                entry = tarfile.TarInfo(model.entry.file)
                entry.mode, entry.size = 0o444, model.path.stat().st_size
                with model.path.open("rb") as content:
                    tar.addfile(entry, content)
            if token:
                entry = tarfile.TarInfo(_TOKEN)
                entry.mode, entry.uid, entry.gid, entry.size = 0o400, NOBODY, NOBODY, len(token)
                tar.addfile(entry, io.BytesIO(token.encode()))
            text = serving.text().encode()
            entry = tarfile.TarInfo(_SERVING)
            entry.mode, entry.size = 0o444, len(text)
            tar.addfile(entry, io.BytesIO(text))
        file.seek(0)
        container.put_archive(FOLDER, file)
