import os
import stat
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.source import snapshot

from unit.helpers import git, put


def names(folder: Path) -> list[str]:
    return [path.as_posix() for path in snapshot.files(folder)]


def pack(folder: Path) -> str:
    return snapshot.pack(folder, folder.parent / "packed.tar.gz")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder without git."""
    folder = tmp_path / "project"
    put(folder / "MLproject", "name: p\n")
    put(folder / "train.py", "print()\n")
    put(folder / "lib" / "a b ž.py", "x = 1\n")
    return folder


@pytest.fixture
def tracked(project: Path) -> Path:
    """The same folder in git."""
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "one")
    return project


def test_files_without_git(project: Path) -> None:
    for name in (".venv/a", "__pycache__/a", "lib/__pycache__/a", "mlruns/a", ".trainer/a", "secrets.env"):
        put(project / name)
    put(project / "lib" / "secrets.env")
    assert names(project) == ["MLproject", "lib/a b ž.py", "train.py"]


def test_files_in_git(tracked: Path) -> None:
    put(tracked / ".gitignore", "*.bin\ndata/\n")
    put(tracked / "model.bin")
    put(tracked / "data" / "a.csv")
    put(tracked / "untracked.py")
    put(tracked / "secrets.env")
    (tracked / "train.py").unlink()
    assert names(tracked) == [".gitignore", "MLproject", "lib/a b ž.py", "untracked.py"]


def test_a_tracked_secrets_file_never_travels(tracked: Path) -> None:
    put(tracked / "lib" / "secrets.env", "KEY=hunter2\n")
    git(tracked, "add", "--force", ".")
    assert "lib/secrets.env" not in names(tracked)


def test_files_of_a_folder_below_the_repository(tracked: Path) -> None:
    put(tracked / "lib" / "new.py")
    assert names(tracked / "lib") == ["a b ž.py", "new.py"]


def test_files_of_a_project_that_the_repository_ignores(tracked: Path) -> None:
    put(tracked / ".gitignore", "scratch/\n")
    put(tracked / "scratch" / "train.py")
    assert names(tracked / "scratch") == ["train.py"]


def test_a_name_that_is_no_utf_8(tracked: Path) -> None:
    put(Path(os.fsdecode(os.fsencode(tracked) + b"/caf\xe9.txt")))
    assert len(names(tracked)) == 4
    assert len(pack(tracked)) == 64


def test_the_archive(project: Path) -> None:
    (project / "train.py").chmod(0o700)
    (project / "link").symlink_to("lib")
    archive = project.parent / "packed.tar.gz"
    snapshot.pack(project, archive, uid=1234, gid=5678)
    with tarfile.open(archive) as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
        train = tar.extractfile("code/train.py")
        assert train
        assert train.read() == b"print()\n"
    assert list(entries) == [
        "code", "code/MLproject", "code/lib", "code/lib/a b ž.py", "code/link", "code/train.py",
    ]  # fmt: skip
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries.values()} == {(1234, 5678, "", "", 0)}
    assert [entries[name].mode for name in ("code", "code/MLproject", "code/train.py")] == [
        0o755,
        0o644,
        0o755,
    ]
    assert (entries["code/link"].type, entries["code/link"].linkname) == (tarfile.SYMTYPE, "lib")


def test_the_digest_stays_with_time_place_owner_and_group_modes(project: Path, tmp_path: Path) -> None:
    before = pack(project)
    for path in project.rglob("*"):
        os.utime(path, (1, 1))
    (project / "train.py").chmod(0o664)
    moved = project.rename(tmp_path / "elsewhere")
    assert snapshot.pack(moved, tmp_path / "other.tar.gz", uid=1, gid=1) == before


def test_the_archive_is_the_same_at_every_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = project.parent / "packed.tar.gz"
    pack(project)
    before = archive.read_bytes()
    monkeypatch.setattr(time, "time", lambda: 1.0)
    pack(project)
    assert archive.read_bytes() == before


def test_in_git_or_not_the_same_files_have_the_same_digest(project: Path) -> None:
    before = pack(project)
    git(project, "init", "--quiet")
    assert pack(project) == before


def test_a_hard_link_is_a_file_like_any_other(project: Path, tmp_path: Path) -> None:
    copy, link = project / "copy.py", tmp_path / "link.py"
    copy.write_bytes((project / "train.py").read_bytes())
    before = pack(project)
    copy.rename(link)
    os.link(project / "train.py", copy)
    assert pack(project) == before


def test_a_link_to_another_projects_file_travels_as_that_file(project: Path) -> None:
    before = pack(project)
    other = project.parent / "other"
    put(other / "MLproject")
    (project / "train.py").rename(other / "train.py")
    (project / "train.py").symlink_to("../other/train.py")
    assert pack(project) == before
    with tarfile.open(project.parent / "packed.tar.gz") as tar:
        assert tar.getmember("code/train.py").isreg()


@pytest.mark.parametrize(
    "name", ["other/secrets.env", "other/ignored.key", "elsewhere/train.py", "other/folder"]
)
def test_a_link_to_anything_else_outside_is_refused(tracked: Path, name: str) -> None:
    put(tracked.parent / "other" / "MLproject")
    put(tracked.parent / "other" / "folder" / "file")
    if not (tracked.parent / name).exists():
        put(tracked.parent / name, "x")
    git(tracked.parent, "init", "--quiet")
    put(tracked.parent / ".gitignore", "*.key\n")
    (tracked / "link").symlink_to(Path("..") / name)
    with pytest.raises(InvalidInput, match="outside of the project"):
        pack(tracked)


def _link(target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "link").symlink_to(target)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: put(folder / "train.py", "print(1)\n"),
        lambda folder: put(folder / "new.py"),
        lambda folder: (folder / "train.py").unlink(),
        lambda folder: (folder / "train.py").rename(folder / "main.py"),
        lambda folder: (folder / "train.py").chmod(0o755),
        _link("train.py"),
        _link("no-such-file"),
    ],
)
def test_the_digest_follows_content_names_and_modes(project: Path, change: Callable[[Path], object]) -> None:
    before = pack(project)
    change(project)
    assert pack(project) != before


def test_the_digest_follows_where_a_link_leads(project: Path) -> None:
    _link("train.py")(project)
    before = pack(project)
    (project / "link").unlink()
    _link("lib")(project)
    assert pack(project) != before


def test_the_digest_does_not_run_names_and_contents_together(tmp_path: Path) -> None:
    put(tmp_path / "one" / "a", "bc")
    put(tmp_path / "two" / "ab", "c")
    assert pack(tmp_path / "one") != pack(tmp_path / "two")


def test_pipes_and_sockets_are_no_content(project: Path) -> None:
    os.mkfifo(project / "pipe", stat.S_IRUSR)
    assert "pipe" not in names(project)


def test_the_commit(tracked: Path) -> None:
    at = snapshot.commit(tracked)
    assert at
    assert at.id == git(tracked, "rev-parse", "HEAD").strip()
    assert not at.dirty
    assert at.branch in ("main", "master")


@pytest.mark.parametrize("name", ["train.py", "untracked.py"])
def test_a_changed_or_new_file_makes_it_dirty(tracked: Path, name: str) -> None:
    put(tracked / name, "changed")
    at = snapshot.commit(tracked)
    assert at
    assert at.dirty


def test_a_change_beside_the_project_is_none_of_it(tracked: Path) -> None:
    put(tracked / "train.py", "changed")
    at = snapshot.commit(tracked / "lib")
    assert at
    assert not at.dirty


def test_a_commit_on_no_branch(tracked: Path) -> None:
    git(tracked, "checkout", "--quiet", "--detach")
    at = snapshot.commit(tracked)
    assert at
    assert at.branch == "HEAD"


def test_no_commit_without_git_or_before_the_first(project: Path) -> None:
    assert snapshot.commit(project) is None
    git(project, "init", "--quiet")
    assert snapshot.commit(project) is None
