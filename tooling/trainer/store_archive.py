"""A tracking store (SQLite databases and artifacts) as one tar, and back.

It needs nothing but the standard library, because it also runs inside of the server's image, as a script:
`python store_archive.py backup|restore|counts STORE`.

The tar holds a consistent copy of each database, then the artifacts, and last a manifest with the size and
SHA-256 of every file and the number of rows that matter; without it the tar is not complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypedDict

FORMAT = 1
MANIFEST = "manifest.json"
ARTIFACTS = "artifacts"
COUNTED = ("experiments", "runs", "metrics", "params", "tags", "registered_models", "users")
_CHUNK = 1 << 20


class File(TypedDict):
    """What a file of the archive has to be."""

    size: int
    sha256: str


class Manifest(TypedDict):
    """What the archive says of itself."""

    format: int
    counts: dict[str, int]
    files: dict[str, File]


class ArchiveError(Exception):
    """The archive, or the store, is not what it should be; the text says why."""


def backup(store: Path, out: BinaryIO) -> Manifest:
    """Write the store to `out` as a tar. The server may be running: databases are copied by SQLite itself."""
    files: dict[str, File] = {}
    with tempfile.TemporaryDirectory(dir=store) as scratch, tarfile.open(fileobj=out, mode="w|") as tar:
        for database in databases(store):
            copy = Path(scratch) / database.name
            _snapshot(database, copy)
            files[database.name] = _add(tar, copy, database.name)
        counted = counts(Path(scratch))
        for path in _artifacts(store):
            # What a run removes meanwhile is not there any more; what it adds may or may not be.
            with contextlib.suppress(FileNotFoundError):
                files[path.relative_to(store).as_posix()] = _add(
                    tar, path, path.relative_to(store).as_posix()
                )
        manifest = Manifest(format=FORMAT, counts=counted, files=files)
        text = json.dumps(manifest, indent=1).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return manifest


def verify(folder: Path) -> Manifest:
    """Check an unpacked archive against its manifest; raises `ArchiveError` for the first difference."""
    try:
        manifest: Manifest = json.loads((folder / MANIFEST).read_text())
    except (FileNotFoundError, ValueError):
        raise ArchiveError(
            "it has no manifest: it is not complete, or no backup of a tracking store"
        ) from None
    if manifest.get("format") != FORMAT:
        raise ArchiveError(f"its format is {manifest.get('format')}; this version reads {FORMAT}")
    for name, said in manifest["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != said["size"] or _sha256(path) != said["sha256"]:
            raise ArchiveError(f"the file {name} is damaged or missing")
    if (found := counts(folder)) != manifest["counts"]:
        raise ArchiveError(f"it has {found}, but its manifest says {manifest['counts']}")
    return manifest


def restore(store: Path, folder: Path) -> Manifest:
    """Put an unpacked archive, which lies on the store's file system, in the place of an empty store.

    Raises `ArchiveError` if it is damaged, or if the store holds a run already. Databases come last, so a
    store that has them has everything.
    """
    manifest = verify(folder)
    if counts(store).get("runs"):
        raise ArchiveError("the store holds runs already")
    for database in databases(store):
        for name in (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
    if (folder / ARTIFACTS).exists():
        shutil.copytree(folder / ARTIFACTS, store / ARTIFACTS, copy_function=_move, dirs_exist_ok=True)
    for database in databases(folder):
        database.replace(store / database.name)
    return manifest


def unpack(archive: BinaryIO, folder: Path) -> None:
    """Unpack into `folder`; raises `ArchiveError` for what is no tar, or not all of one."""
    try:
        with tarfile.open(fileobj=archive, mode="r|*") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as problem:
        raise ArchiveError(f"it cannot be read: {problem}") from None


def databases(store: Path) -> list[Path]:
    """The store's SQLite files."""
    return sorted(store.glob("*.db"))


def counts(store: Path) -> dict[str, int]:
    """Table → rows, over all databases of the store, for the tables that hold what users care about."""
    found: dict[str, int] = {}
    for database in databases(store):
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            there = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            }
            for table in COUNTED:
                if table in there:
                    [(rows,)] = connection.execute(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 (our own names)
                    found[table] = rows
    return found


def _snapshot(database: Path, copy: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _artifacts(store: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(store / ARTIFACTS):
        yield from (Path(folder) / name for name in sorted(names))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> File:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        # What is appended from now on belongs to the next backup.
        entry.size = os.fstat(file.fileno()).st_size

        class Reading(io.RawIOBase):
            def read(self, size: int = -1, /) -> bytes:
                piece = file.read(size)
                sha.update(piece)
                return piece

        tar.addfile(entry, Reading())
    return File(size=entry.size, sha256=sha.hexdigest())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move(source: str, target: str) -> None:
    Path(source).replace(target)


def main(action: str, store: Path) -> None:
    """The script: `backup` writes to stdout; `restore` takes what lies unpacked in STORE/.incoming."""
    try:
        match action:
            case "backup":
                said = backup(store, sys.stdout.buffer)["counts"]
            case "restore":
                said = restore(store, store / ".incoming")["counts"]
                shutil.rmtree(store / ".incoming")
            case _:
                said = counts(store)
    except ArchiveError as problem:
        sys.exit(str(problem))
    sys.stderr.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
