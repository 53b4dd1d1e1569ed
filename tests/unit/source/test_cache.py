import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from trainer.source import cache, snapshot
from trainer.source.cache import Packed
from trainer.workspace.settings import Workspace

from unit.helpers import put


@pytest.fixture
def folder(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is large, for a limit of three files, and whose stamps can be trusted at once."""
    monkeypatch.setattr(cache, "_MANY", 3)
    monkeypatch.setattr(cache, "_TICK_NS", 0)
    for name in "abc":
        put(workspace.projects / "large" / f"{name}.py", f"{name} = 1\n")
    return workspace.projects / "large"


def pack(workspace: Workspace, folder: Path, *, uid: int = 1) -> tuple[Packed, bytes]:
    """What is said of the code, and the archive."""
    archive = workspace.root / "packed.tar.gz"
    packed = cache.pack(workspace, folder, archive, uid=uid, gid=1)
    return packed, archive.read_bytes()


def freshly(workspace: Workspace, folder: Path) -> tuple[str, bytes]:
    """The same without anything kept."""
    archive = put(workspace.root / "fresh" / "packed.tar.gz")
    return snapshot.pack(folder, archive, uid=1, gid=1), archive.read_bytes()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose files are read, from now on."""
    read: list[Path] = []
    real = snapshot.pack

    def counting(
        folder: Path, archive: Path, *, uid: int = 0, gid: int = 0, paths: Sequence[Path] | None = None
    ) -> str:
        read.append(folder)
        return real(folder, archive, uid=uid, gid=gid, paths=paths)

    monkeypatch.setattr(snapshot, "pack", counting)
    return read


def test_unchanged_code_is_not_read_again(workspace: Workspace, folder: Path, reads: list[Path]) -> None:
    first = pack(workspace, folder)
    assert (first[0].is_repeated, len(reads)) == (False, 1)
    for _ in range(2):
        assert pack(workspace, folder) == (Packed(first[0].digest, is_repeated=True), first[1])
    assert len(reads) == 1
    assert (first[0].digest, first[1]) == freshly(workspace, folder)


def _as_before(path: Path) -> None:
    """Other content of the same size at the same time, which only the time of the change itself shows."""
    before = path.stat()
    path.write_text("a = 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: _as_before(folder / "a.py"),
        lambda folder: put(folder / "a.py", "longer = 1\n"),
        lambda folder: put(folder / "d.py"),
        lambda folder: (folder / "a.py").rename(folder / "z.py"),
        lambda folder: (folder / "a.py").chmod(0o755),
        lambda folder: ((folder / "d.py").symlink_to("a.py"), (folder / "b.py").write_text("b = 2\n")),
    ],
)
def test_changed_code_is_packed_as_it_is(workspace: Workspace, folder: Path, change: object) -> None:
    pack(workspace, folder)
    assert callable(change)
    change(folder)
    packed, archive = pack(workspace, folder)
    assert not packed.is_repeated
    assert (packed.digest, archive) == freshly(workspace, folder)


def test_files_for_another_user_are_packed_for_that_one(workspace: Workspace, folder: Path) -> None:
    first, archive = pack(workspace, folder)
    assert pack(workspace, folder, uid=2)[0] == Packed(first.digest, is_repeated=True)
    assert pack(workspace, folder, uid=2)[1] != archive


def test_a_file_that_was_young_when_it_was_packed_is_read_again(
    workspace: Workspace, folder: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_TICK_NS", 2_000_000_000)
    pack(workspace, folder)
    assert pack(workspace, folder)[0].is_repeated
    assert len(reads) == 2


def test_what_is_kept_may_be_damaged_or_gone(workspace: Workspace, folder: Path) -> None:
    first = pack(workspace, folder)
    (place,) = cache.folders(workspace)
    (place / "source.tar.gz").unlink()
    assert pack(workspace, folder)[1] == first[1]
    (place / "kept.json").write_text("{")
    assert pack(workspace, folder) == first
    shutil.rmtree(place)
    assert pack(workspace, folder) == first


def test_of_small_projects_and_of_clones_nothing_is_kept(workspace: Workspace, folder: Path) -> None:
    clone = workspace.state / "source-1" / "clone"
    shutil.copytree(folder, clone)
    (folder / "a.py").unlink()
    for project in (folder, clone):
        assert [pack(workspace, project)[0].is_repeated for _ in range(2)] == [False, False]
    assert not (workspace.state / "code").exists()
