"""The folder mlflow_tracking_server/ as one archive, and as a list of files."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from trainer.errors import InvalidInput
from trainer.source import snapshot
from trainer.workspace import resources
from trainer.workspace.settings import Workspace

FOLDER = "mlflow_tracking_server"


@dataclass(frozen=True)
class Bundle:
    """The server's files, packed. `version` names their content: it is the same wherever they lie."""

    folder: Path
    files: tuple[Path, ...]
    """Relative to the folder."""
    version: str
    archive: bytes = field(repr=False)
    """A tar.gz with the files at its top."""

    @property
    def checksum(self) -> str:
        """Of the archive, as Heroku wants it."""
        return f"SHA256:{hashlib.sha256(self.archive).hexdigest()}"


def pack(workspace: Workspace, *needed: str) -> Bundle:
    """Pack the workspace's mlflow_tracking_server/, or trainer's own where it has none.

    What git ignores stays behind. Raises `InvalidInput` where one of the files `needed` of it is missing.
    """
    own = workspace.root / FOLDER
    folder = own if own.is_dir() else resources.place(FOLDER)
    for name in ("Dockerfile", *needed):
        if not (folder / name).is_file():
            raise InvalidInput(
                f"{folder / name} is not there.",
                f"Put it back, or remove {FOLDER}/ to have the server that trainer brings.",
            )
    files = tuple(snapshot.files(folder))
    archive = io.BytesIO()
    # Neither times nor owners, so that the archive depends on the content alone.
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in files:
            entry = tar.gettarinfo(str(folder / path), path.as_posix())
            entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime = 0, 0, "", "", 0
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
            if entry.isreg():
                with (folder / path).open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    # Not of the compressed bytes, which differ between versions of zlib.
    version = f"trainer-{hashlib.sha256(archive.getvalue()).hexdigest()[:20]}"
    return Bundle(folder, files, version, gzip.compress(archive.getvalue(), mtime=0))
