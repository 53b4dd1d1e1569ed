"""What a container of a served model has in its volume: ONNX files, which of them is served, the token."""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container
    from trainkit.inference.serving_file import Entry, ServingFile

    from trainer.engine.run_user import RunUser

_LOG = logging.getLogger(__name__)
FOLDER = "/model"
_SERVING, _TOKEN = "serving.json", "token"
SERVING_FILE, TOKEN_FILE = f"{FOLDER}/{_SERVING}", f"{FOLDER}/{_TOKEN}"
NOBODY = 65534
# As root, whose the files are.
_CLEAN = """
import os, sys
os.chdir(sys.argv[1])
for name in os.listdir():
    if name.endswith(".onnx") and name not in sys.argv[2:]:
        os.remove(name)
"""


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

    def add_to(self, tar: tarfile.TarFile) -> None:
        """Its file, which everybody may read."""
        entry = tarfile.TarInfo(self.entry.file)
        entry.mode, entry.size = 0o444, self.path.stat().st_size
        with self.path.open("rb") as content:
            tar.addfile(entry, content)


def put(
    container: Container,
    models: Sequence[Model],
    serving: ServingFile,
    token: str | None = None,
    owner: RunUser | None = None,
) -> None:
    """Put files into it, which the server may read and not write. The token is for `owner` alone.

    The one that says what is served comes last: a server that sees it has the others.
    """
    with TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for model in models:
                model.add_to(tar)
            if token:
                entry = tarfile.TarInfo(_TOKEN)
                entry.mode, entry.size = 0o444, len(token)
                # An engine that remaps ids would make it somebody else's. Nobody else has the volume.
                if owner and not owner.stranger:
                    entry.mode, entry.uid, entry.gid = 0o400, owner.uid, owner.gid
                tar.addfile(entry, io.BytesIO(token.encode()))
            text = serving.text().encode()
            entry = tarfile.TarInfo(_SERVING)
            entry.mode, entry.size = 0o444, len(text)
            tar.addfile(entry, io.BytesIO(text))
        file.seek(0)
        container.put_archive(FOLDER, file)


def read(container: Container) -> ServingFile:
    """What is served."""
    from trainkit.inference.serving_file import ServingFile

    stream, _ = container.get_archive(SERVING_FILE)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        content = tar.extractfile(_SERVING)
        return ServingFile.model_validate_json(content.read() if content else b"")


def clean(container: Container, serving: ServingFile) -> None:
    """Remove the ONNX files that are not served any more; one that stays costs space alone."""
    files = [entry.file for entry in (serving.model, serving.shadow) if entry]
    code, said = container.exec_run(["python", "-c", _CLEAN, FOLDER, *files], user="0:0")
    if code:
        _LOG.warning("Files in %s were not removed: %s", container.name, said)
