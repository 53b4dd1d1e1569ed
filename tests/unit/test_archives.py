from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from trainer import archives
from trainer.archives import UnsafeArchive


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.uid, entry.gid = kind, link, mode, 4321, 4321
    return entry


def unpack(folder: Path, *members: tarfile.TarInfo) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for entry in members:
            entry.size = 4 if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(b"text"))
    packed.seek(0)
    with tarfile.open(fileobj=packed) as tar:
        archives.unpack(tar, folder)


def test_files_folders_and_links_belong_to_who_unpacks_them(tmp_path: Path) -> None:
    unpack(
        tmp_path,
        member("code", tarfile.DIRTYPE, mode=0),
        member("code/run.sh", mode=0o4777),
        member("code/here", tarfile.SYMTYPE, "run.sh"),
    )
    script = tmp_path / "code" / "run.sh"
    assert (tmp_path / "code" / "here").read_text() == "text"
    assert (script.stat().st_uid, script.stat().st_gid) == (os.getuid(), os.getgid())
    assert not stat.S_IMODE(script.stat().st_mode) & 0o7022
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_umask_holds(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        unpack(tmp_path, member("a", mode=0o777), member("d", tarfile.DIRTYPE, mode=0o777))
    finally:
        assert os.umask(before) == mask
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755 & ~mask
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755 & ~mask


def test_a_link_may_lead_nowhere_inside_and_may_stand_before_what_it_leads_to(tmp_path: Path) -> None:
    unpack(
        tmp_path,
        member("later", tarfile.SYMTYPE, "d/a"),
        member("nowhere", tarfile.SYMTYPE, "missing"),
        member("d/a"),
    )
    assert (tmp_path / "later").read_text() == "text"
    assert (tmp_path / "nowhere").is_symlink()


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil")],
        [member("/tmp/trainer-evil")],
        [member("d/../../evil")],
        [member("out", tarfile.SYMTYPE, "..")],
        [member("out", tarfile.SYMTYPE, "/etc/passwd")],
        [member("out", tarfile.SYMTYPE, ".."), member("out/evil")],
        [member("out", tarfile.SYMTYPE, ".."), member("out/evil", tarfile.SYMTYPE, "x")],
        # Each of the two stays inside when it is read by itself.
        [member("p/q/d", tarfile.SYMTYPE, "../.."), member("x", tarfile.SYMTYPE, "p/q/d/../evil")],
        [member("x", tarfile.SYMTYPE, "p/q/d/../evil"), member("p/q/d", tarfile.SYMTYPE, "../..")],
        [member("a"), member("hard", tarfile.LNKTYPE, "a")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("device", tarfile.CHRTYPE)],
        [member("a"), member("a", tarfile.SYMTYPE, "b")],
    ],
    ids=lambda members: " ".join(f"{entry.name}>{entry.linkname}" for entry in members),
)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(UnsafeArchive):
        unpack(folder, *members)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert not [path for path in folder.rglob("*") if ".." in os.path.relpath(path.resolve(), folder)]
