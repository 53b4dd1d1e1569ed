"""The store of the workspace's own tracking server as a file, and back."""

from __future__ import annotations

import gzip
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from trainer.engine import daemon
from trainer.errors import EngineError, InvalidInput, TrackingError
from trainer.progress import Steps
from trainer.runs import restored
from trainer.server import (
    archive_reading,
    container,
    container_record,
    live_runs,
    process,
    service,
    store_archive,
)
from trainer.server.container import name
from trainer.server.store_archive import INCOMING, ArchiveError, Manifest
from trainer.server.volume import Volume
from trainer.tracking.client import Client
from trainer.workspace.settings import Workspace

GZIPPED = (".gz", ".tgz")


class Store(Protocol):
    """Where a server keeps runs and artifacts."""

    def backup(self, out: BinaryIO) -> None:
        """Write it as a tar (`store_archive`), whether the server runs or not."""

    def restore(self, archive: BinaryIO) -> dict[str, int]:
        """Put an archive in its place; the server is stopped. Returns table → rows."""

    def counts(self) -> dict[str, int]:
        """Table → rows."""


class Folder:
    """The folder mlruns/ of a server that runs as a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def backup(self, out: BinaryIO) -> None:
        """As in `Store`."""
        store_archive.backup(self._folder, out)

    def restore(self, archive: BinaryIO) -> dict[str, int]:
        """As in `Store`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._folder / INCOMING, ignore_errors=True)
        try:
            archive_reading.unpack(archive, self._folder / INCOMING)
            return store_archive.restore(self._folder)["counts"]
        except ArchiveError as error:
            raise TrackingError(f"The tracking store: {error}", "Nothing in it was changed.") from None
        finally:
            shutil.rmtree(self._folder / INCOMING, ignore_errors=True)

    def counts(self) -> dict[str, int]:
        """As in `Store`."""
        return store_archive.counts(self._folder)


@dataclass(frozen=True)
class Restored:
    """What a restore put in place, and where that which was there before is saved, if it held runs.

    `killed`: how many runs were live when the backup was made, and have no other end.
    """

    counts: dict[str, int]
    saved: Path | None
    killed: int


def backup(workspace: Workspace, file: Path) -> Manifest:
    """Save the store in a new file, which is read again and compared before it gets its name.

    It is compressed where the name ends in .gz or .tgz. Raises `InvalidInput` where the file is there already
    or there is no store.
    """
    if file.exists():
        raise InvalidInput(f"{file} already exists.", "Nothing was written. Use another name.")
    if not file.absolute().parent.is_dir():
        raise InvalidInput(f"There is no folder {file.absolute().parent}.", "Make it, or give another name.")
    store = _store(workspace)
    if store is None:
        raise InvalidInput(
            "This workspace has no tracking server of its own, and so nothing to save.",
            "How to save a server on a platform is in mlflow_tracking_server/README.md.",
        )
    part = file.with_name(f".{file.name}.part")
    try:
        # For its owner alone: it holds the accounts with what their passwords are compared with.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw, _written(raw, file) as out:
            store.backup(out)
        manifest = check(part, shown=file)
        file.hardlink_to(part)  # which never replaces a file, as a rename would
    finally:
        part.unlink(missing_ok=True)
    return manifest


def check(file: Path, shown: Path | None = None) -> Manifest:
    """Read the whole backup and compare it with its manifest; raises `InvalidInput` if it is no good one."""
    if file.exists() and not file.is_file():  # a pipe would be waited for, and can be read only once
        raise InvalidInput(f"{file} is not a file.", "Specify a file of `trainer server backup`.")
    try:
        with file.open("rb") as archive:
            return archive_reading.check(archive)
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be read: {error.strerror}.", "Specify a file of `trainer server backup`."
        ) from None
    except ArchiveError as error:
        raise InvalidInput(f"{shown or file}: {error}.", "Use another backup; nothing was changed.") from None


def restore(workspace: Workspace, file: Path, reporter: Steps, *, force: bool = False) -> Restored:
    """Put a backup in the place of the store, and leave the server running.

    What the store held is saved in .trainer/backups/ first. Raises `InvalidInput` for a file that is no whole
    backup, and while runs are live, unless `force` says so.
    """
    reporter.step(f"Checking {file.name}")
    manifest = check(file)
    if not force:
        live_runs.refuse(workspace, f"trainer server restore {shlex.quote(str(file))} --force")
    if _store(workspace) is None and _has_engine():
        service.up(workspace, reporter, empty=True)  # on a machine that has nothing yet, or no more
    store = _store(workspace) or Folder(workspace.store)
    saved = None
    if store.counts().get("runs"):
        saved = new_name(workspace, "before-restore")
        reporter.step(f"Saving what is there now in {saved}")
        backup(workspace, saved)
    in_container = isinstance(store, Volume)
    reporter.step("Restoring")
    if in_container:
        service.down(workspace)
    else:
        process.down(workspace)
    try:
        with file.open("rb") as archive:
            counts = store.restore(archive)
    finally:
        tracking = service.up(workspace, reporter) if in_container else process.begin(workspace)
    if counts != manifest["counts"]:
        raise TrackingError(
            f"The store has {counts}; the backup says {manifest['counts']}.", "Restore it again."
        )
    if not in_container:
        process.wait(workspace, tracking)
    killed = restored.end(workspace, Client(tracking), file.stat().st_mtime)
    return Restored(counts, saved, killed)


def new_name(workspace: Workspace, occasion: str) -> Path:
    """A file that is not there yet, for a backup that is made before something is changed."""
    folder = workspace.state / "backups"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{occasion}-{time.strftime('%Y%m%d-%H%M%S')}.tar"


def _store(workspace: Workspace) -> Store | None:
    if container_record.recorded(workspace):
        client = daemon.connect()
        container_state = container.find(client, name(workspace))
        if container_state:
            return Volume(client, workspace, container_state.image)
    return Folder(workspace.store) if store_archive.databases(workspace.store) else None


def _has_engine() -> bool:
    try:
        daemon.connect()
    except EngineError:
        return False
    return True


@contextmanager
def _written(raw: BinaryIO, file: Path) -> Iterator[BinaryIO]:
    if file.suffix in GZIPPED:
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as zipped:
            yield cast(BinaryIO, zipped)
    else:
        yield raw
