"""A tracking store (SQLite databases and artifacts) as one tar, and back.

It needs nothing but the standard library, because it also runs inside of the server's image, as a script:
`python store_archive.py backup|restore|finish|counts|space STORE`.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypedDict

FORMAT = 1
MANIFEST = "manifest.json"
ARTIFACTS = "artifacts"
INCOMING = ".incoming"
_READY, _REPLACED = ".restoring", ".replaced"
OWNER = 1000  # of the files where the engine unpacks them: the user of the server's image
COUNTED = ("experiments", "runs", "metrics", "params", "tags", "registered_models", "users")
CHUNK = 1 << 20


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
        for folder in _folders(store):
            tar.addfile(_entry(folder.relative_to(store).as_posix(), tarfile.DIRTYPE))
        for path in _artifacts(store):
            # What a run removes meanwhile is not there any more; what it adds may or may not be.
            with contextlib.suppress(FileNotFoundError):
                files[path.relative_to(store).as_posix()] = _add(
                    tar, path, path.relative_to(store).as_posix()
                )
        manifest = Manifest(format=FORMAT, counts=counted, files=files)
        text = json.dumps(manifest, indent=1).encode()
        entry = _entry(MANIFEST)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return manifest


def verify(folder: Path) -> Manifest:
    """Check an unpacked archive against its manifest; raises `ArchiveError` for the first difference."""
    manifest = read_manifest(folder)

    def found(name: str) -> File | None:
        path = folder / name
        return File(size=path.stat().st_size, sha256=_sha256(path)) if path.is_file() else None

    compare_files(manifest, found)
    compare_counts(manifest, folder)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an unpacked archive; raises `ArchiveError` for one that no tracking store has."""
    try:
        manifest: Manifest = json.loads((folder / MANIFEST).read_text())
    except (FileNotFoundError, ValueError):
        raise ArchiveError(
            "it has no manifest: it is not complete, or no backup of a tracking store"
        ) from None
    if manifest.get("format") != FORMAT:
        raise ArchiveError(f"its format is {manifest.get('format')}; this version reads {FORMAT}")
    for name in manifest["files"]:
        top, *below = name.split("/")
        expected = top == ARTIFACTS if below else top.endswith(".db")
        if not expected or ".." in below:
            raise ArchiveError(f"a file in it is called {name!r}, which no tracking store has")
    return manifest


def compare_files(manifest: Manifest, find_file: Callable[[str], File | None]) -> None:
    """Raise `ArchiveError` for a file that is not as the manifest has it."""
    for name, expected in manifest["files"].items():
        if find_file(name) != expected:
            raise ArchiveError(f"the file {name} is damaged or missing")


def compare_counts(manifest: Manifest, folder: Path) -> None:
    """Raise `ArchiveError` where the databases do not have the rows that the manifest says."""
    if (actual := counts(folder)) != manifest["counts"]:
        raise ArchiveError(f"it has {actual}, but its manifest says {manifest['counts']}")


def restore(store: Path) -> Manifest:
    """Put what lies unpacked in STORE/.incoming in the place of what the store holds.

    Raises `ArchiveError`, with nothing changed, if that is damaged. From then on every step can be repeated:
    after a kill, the next call (or `finish`) goes on. Databases come last.
    """
    finish(store)
    manifest = verify(store / INCOMING)
    (store / INCOMING / ARTIFACTS).mkdir(exist_ok=True)
    (store / INCOMING).rename(store / _READY)
    finish(store)
    compare_counts(manifest, store)
    return manifest


def finish(store: Path) -> None:
    """Complete a `restore` that was interrupted after it had verified everything; else do nothing."""
    ready, replaced = store / _READY, store / _REPLACED
    if (ready / MANIFEST).exists():
        restored_names = {ARTIFACTS, *(name.split("/")[0] for name in read_manifest(ready)["files"])}
        replaced.mkdir(exist_ok=True)
        for name in sorted({*restored_names, *(path.name for path in databases(store))}):
            # What is wanted and does not lie ready any more is in its place already.
            if (ready / name).exists() or name not in restored_names:
                for old in (f"{name}-wal", f"{name}-shm", name):
                    if (store / old).exists():
                        (store / old).rename(replaced / old)
            if (ready / name).exists():
                (ready / name).rename(store / name)
        shutil.rmtree(replaced)
    if ready.exists():
        shutil.rmtree(ready)


def databases(store: Path) -> list[Path]:
    """The store's SQLite files."""
    return sorted(store.glob("*.db"))


def counts(store: Path) -> dict[str, int]:
    """Table → rows, over all databases of the store, for the tables that hold what users care about."""
    counted: dict[str, int] = {}
    for database in databases(store):
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            tables_present = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            }
            for table in COUNTED:
                if table in tables_present:
                    [(rows,)] = connection.execute(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 (our own names)
                    counted[table] = rows
    return counted


def _snapshot(database: Path, copy: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _artifacts(store: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(store / ARTIFACTS):
        yield from (Path(folder) / name for name in sorted(names))


def _folders(store: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(store / ARTIFACTS):
        yield Path(folder)


def _entry(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, 0o755 if kind == tarfile.DIRTYPE else 0o644
    entry.uid = entry.gid = OWNER
    return entry


def _add(tar: tarfile.TarFile, path: Path, name: str) -> File:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        entry = _entry(name)
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


def _space(store: Path) -> dict[str, int]:
    disk = shutil.disk_usage(store)
    return {"free": disk.free, "total": disk.total}


def main(action: str, store: Path) -> None:
    """The script: `backup` writes to stdout; `restore` takes what lies unpacked in STORE/.incoming."""
    try:
        match action:
            case "backup":
                backup(store, sys.stdout.buffer)
            case "restore":
                restore(store)
            case "finish":
                finish(store)
                shutil.rmtree(store / INCOMING, ignore_errors=True)
        summary = _space(store) if action == "space" else counts(store)
    except ArchiveError as error:
        sys.exit(str(error))
    sys.stderr.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
