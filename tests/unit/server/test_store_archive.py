import gzip
import hashlib
import io
import json
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from trainer.server import archive_reading, store_archive
from trainer.server.store_archive import ArchiveError

from unit.helpers import put


def make_store(root: Path, runs: int = 3) -> Path:
    root.mkdir(parents=True)
    with closing(sqlite3.connect(root / "mlflow.db")) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        for table in ("experiments", "runs", "metrics"):
            database.execute(f"CREATE TABLE {table} (id)")
        database.execute("INSERT INTO experiments VALUES (0)")
        database.executemany("INSERT INTO runs VALUES (?)", [(number,) for number in range(runs)])
    with closing(sqlite3.connect(root / "auth.db")) as database, database:
        database.execute("CREATE TABLE users (id)")
        database.execute("INSERT INTO users VALUES (1)")
    for number in range(runs):
        put(root / "artifacts" / "0" / f"run {number}" / "model" / "weights.bin", bytes([number]) * 3000)
    put(root / ".secrets" / "environment", "PASSWORD=canary")
    return root


def empty_store(root: Path) -> Path:
    root.mkdir(parents=True)
    with closing(sqlite3.connect(root / "mlflow.db")) as database, database:
        for table in ("experiments", "runs", "metrics"):
            database.execute(f"CREATE TABLE {table} (id)")
    return root


def backup(store: Path) -> bytes:
    out = io.BytesIO()
    store_archive.backup(store, out)
    return out.getvalue()


def restored(archive: bytes, store: Path) -> Path:
    archive_reading.unpack(io.BytesIO(archive), store / ".incoming")
    store_archive.restore(store)
    return store


def contents(store: Path) -> dict[str, bytes]:
    return {
        p.relative_to(store).as_posix(): p.read_bytes()
        for p in (store / "artifacts").rglob("*")
        if p.is_file()
    }


def test_what_was_backed_up_comes_back(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    other = restored(backup(store), tmp_path / "other")
    assert contents(other) == contents(store)
    assert len(contents(other)) == 3
    assert store_archive.counts(other) == {"experiments": 1, "runs": 3, "metrics": 0, "users": 1}


def test_an_empty_store_with_a_schema_may_be_restored_into(tmp_path: Path) -> None:
    archive = backup(make_store(tmp_path / "store"))
    assert store_archive.counts(restored(archive, empty_store(tmp_path / "other")))["runs"] == 3


def test_what_a_store_held_makes_room(tmp_path: Path) -> None:
    archive = backup(make_store(tmp_path / "store"))
    other = make_store(tmp_path / "other", runs=7)
    put(other / "artifacts" / "0" / "run 1" / "old", "gone")
    put(other / "mlflow.db-wal", "of the old database")
    (other / "auth.db").rename(other / "accounts.db")
    restored(archive, other)
    assert contents(other) == contents(tmp_path / "store")
    assert store_archive.counts(other) == {"experiments": 1, "runs": 3, "metrics": 0, "users": 1}
    left = {path.name for path in other.iterdir()} - {"mlflow.db-shm", "mlflow.db-wal"}
    assert left == {".secrets", "artifacts", "auth.db", "mlflow.db"}


class Killed(BaseException):
    pass


def killed_at_rename(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the `number`th rename, counted from 0, is the last thing that happens before a kill."""
    renamed, rename = [0], Path.rename

    def rename_and_die(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        renamed[0] += 1
        if renamed[0] > number:
            raise Killed
        return moved

    monkeypatch.setattr(Path, "rename", rename_and_die)


@pytest.mark.parametrize("number", range(7))
def test_a_restore_that_was_killed_is_completed_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    archive = backup(make_store(tmp_path / "store"))
    other = make_store(tmp_path / "other", runs=7)
    with monkeypatch.context() as patched:
        killed_at_rename(number, patched)
        with pytest.raises(Killed):
            restored(archive, other)
    store_archive.finish(other)
    assert contents(other) == contents(tmp_path / "store")
    assert store_archive.counts(other)["runs"] == 3
    assert not [path for path in other.iterdir() if path.name in (".restoring", ".replaced")]


def test_finishing_what_was_not_begun_changes_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    before = contents(store)
    archive_reading.unpack(io.BytesIO(backup(make_store(tmp_path / "other", runs=1))), store / ".incoming")
    store_archive.finish(store)
    assert contents(store) == before
    assert store_archive.counts(store)["runs"] == 3


def test_an_archive_is_checked_without_unpacking_its_artifacts(tmp_path: Path) -> None:
    archive = backup(make_store(tmp_path / "store"))
    assert archive_reading.check(io.BytesIO(archive))["counts"]["runs"] == 3
    assert archive_reading.check(io.BytesIO(gzip.compress(archive)))["counts"]["runs"] == 3
    damaged = bytearray(archive)
    damaged[damaged.index(bytes([2]) * 1000)] ^= 1
    for bad, why in (
        (bytes(damaged), r"run 2/model/weights\.bin is damaged"),
        (archive[: len(archive) // 2], "cannot be read|no manifest"),
        (b"", "cannot be read|no manifest"),
        (gzip.compress(archive)[:500], "cannot be read|no manifest"),
    ):
        with pytest.raises(ArchiveError, match=why):
            archive_reading.check(io.BytesIO(bad))


@pytest.mark.parametrize(
    "name", ["../mlflow.db", "artifacts/../../x", "/etc/passwd", "secrets.env", "x/a.db"]
)
def test_an_archive_may_hold_nothing_but_databases_and_artifacts(tmp_path: Path, name: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        sha = hashlib.sha256(b"").hexdigest()
        text = json.dumps({"format": 1, "counts": {}, "files": {name: {"size": 0, "sha256": sha}}}).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    store = make_store(tmp_path / "store")
    with pytest.raises(ArchiveError, match="which no tracking store has"):
        archive_reading.check(io.BytesIO(packed.getvalue()))
    with pytest.raises(ArchiveError, match="which no tracking store has"):
        restored(packed.getvalue(), store)
    assert store_archive.counts(store)["runs"] == 3


def test_secrets_and_the_backups_own_scratch_do_not_travel(tmp_path: Path) -> None:
    archive = backup(make_store(tmp_path / "store"))
    assert b"canary" not in archive
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
    assert names[:2] == ["auth.db", "mlflow.db"]
    assert names[-1] == "manifest.json"
    assert not [name for name in names if name.startswith((".", "tmp"))]
    assert sorted(path.name for path in (tmp_path / "store").iterdir() if path.name.startswith("tmp")) == []


def test_a_store_that_is_written_to_meanwhile_is_backed_up_whole(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(store / "mlflow.db", timeout=10)) as database:
            number = 100
            while not stop.is_set():
                with database:
                    database.execute("INSERT INTO runs VALUES (?)", (number,))
                    database.execute("INSERT INTO metrics VALUES (?)", (number,))
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        archives = [backup(store) for _ in range(5)]
    finally:
        stop.set()
        writer.join()
    for position, archive in enumerate(archives):
        counts = store_archive.counts(restored(archive, tmp_path / str(position)))
        assert counts["runs"] - 3 == counts["metrics"]  # a transaction is there whole or not at all


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_part_of_an_archive_is_refused(tmp_path: Path, kept: float) -> None:
    archive = backup(make_store(tmp_path / "store"))
    part = archive[: int(archive.index(b"manifest.json") * kept)]
    with pytest.raises(ArchiveError):
        restored(part, tmp_path / "other")
    assert not (tmp_path / "other" / "mlflow.db").exists()


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    archive = bytearray(backup(make_store(tmp_path / "store")))
    archive[archive.index(bytes([2]) * 1000)] ^= 1
    with pytest.raises(ArchiveError, match=r"run 2/model/weights\.bin is damaged"):
        restored(bytes(archive), tmp_path / "other")


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 10240])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError):
        restored(content, tmp_path / "other")


def test_a_tar_that_climbs_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"))
    with pytest.raises(ArchiveError):
        restored(packed.getvalue(), tmp_path / "a" / "b")
    assert not (tmp_path / "outside").exists()


def test_an_archive_of_a_later_format_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        text = json.dumps({"format": 2, "counts": {}, "files": {}}).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    with pytest.raises(ArchiveError, match="its format is 2"):
        restored(packed.getvalue(), tmp_path / "other")


def test_it_runs_as_a_script_that_needs_nothing_installed(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    script = [sys.executable, "-I", "-S", store_archive.__file__]
    packed = subprocess.run([*script, "backup", store], capture_output=True, check=True)
    assert json.loads(packed.stderr)["runs"] == 3
    other = empty_store(tmp_path / "other")
    archive_reading.unpack(io.BytesIO(packed.stdout), other / ".incoming")
    done = subprocess.run([*script, "restore", other], capture_output=True, check=True)
    assert json.loads(done.stderr)["runs"] == 3
    assert not (other / ".incoming").exists()
    again = subprocess.run([*script, "restore", other], capture_output=True, check=False)
    assert again.returncode == 1
    assert b"manifest" in again.stderr
