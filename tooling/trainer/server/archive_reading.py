"""Reading an archive of a tracking store that anybody may have written: checked in one pass, or unpacked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO, BinaryIO

from trainer.server.store_archive import (
    CHUNK,
    ArchiveError,
    File,
    Manifest,
    compare_counts,
    compare_files,
    read_manifest,
)

MOST_FILES = 5_000_000


def check(archive: BinaryIO) -> Manifest:
    """Read a whole archive and compare it with its manifest; nothing but databases is unpacked meanwhile.

    Raises `ArchiveError` for what is no archive, is not all there, or is damaged.
    """
    files: dict[str, File] = {}
    seen = set[str]()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            with tarfile.open(fileobj=archive, mode="r|*") as tar:
                for entry in tar:
                    _check_entry(entry, seen)
                    content = tar.extractfile(entry)
                    if content is None:
                        continue
                    is_kept = "/" not in entry.name and entry.name.endswith((".db", ".json"))
                    files[entry.name] = _read(content, folder / entry.name if is_kept else None)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ArchiveError(f"it cannot be read: {error}") from None
        manifest = read_manifest(folder)
        compare_files(manifest, lambda name: files.get(name))
        compare_counts(manifest, folder)
    return manifest


def unpack(archive: BinaryIO, folder: Path) -> None:
    """Unpack into `folder`; raises `ArchiveError` for what is no tar, or not all of one, or no backup.

    A backup has plain files and folders alone, each once. Links, devices, names that lead out of the folder
    and more than fits are refused, at the first of them: what was unpacked by then stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free_bytes, seen, size = shutil.disk_usage(folder).free, set[str](), 0
    try:
        with tarfile.open(fileobj=archive, mode="r|*") as tar:
            for entry in tar:
                size += entry.size
                _check_entry(entry, seen)
                if size > free_bytes or len(seen) > MOST_FILES:
                    raise ArchiveError(f"it unpacks to more than fits: {free_bytes / 1e9:.1f} GB are free")
                _extract(tar, entry, folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"it cannot be read: {error}") from None


def _check_entry(entry: tarfile.TarInfo, seen: set[str]) -> None:
    if not (entry.isfile() or entry.isdir()):
        raise ArchiveError(f"it contains something that is not a file: {entry.name}")
    if os.path.normpath(entry.name) in seen:
        raise ArchiveError(f"it has {entry.name} twice")
    if Path(entry.name).is_absolute() or ".." in Path(entry.name).parts:
        raise ArchiveError(f"it has something in it that leads out of it: {entry.name}")
    seen.add(os.path.normpath(entry.name))


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    # Not `tar.extract`, whose `filter` Python has only from 3.11.4.
    target = folder / entry.name
    (target if entry.isdir() else target.parent).mkdir(parents=True, exist_ok=True)
    if content := tar.extractfile(entry):
        with content, target.open("wb") as written:
            shutil.copyfileobj(content, written, CHUNK)


def _read(content: IO[bytes], copy: Path | None) -> File:
    sha, size = hashlib.sha256(), 0
    with copy.open("xb") if copy else contextlib.nullcontext() as out:
        while piece := content.read(CHUNK):
            sha.update(piece)
            size += len(piece)
            if out:
                out.write(piece)
    return File(size=size, sha256=sha.hexdigest())
