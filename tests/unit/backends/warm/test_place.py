"""What a run leaves in a warm container's folder comes to the run's own, and leads nowhere else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from trainer.backends import written_files
from trainer.backends.docker.warm.place import Place
from trainer.workspace.run_folder import RunFolder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty one."""
    made = Place(tmp_path / "slots" / "0")
    made.make()
    return made


def _folder(tmp_path: Path, run_id: str) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / run_id)
    folder.spool.mkdir(parents=True)
    (folder.spool / "journal").write_text(run_id)
    with tarfile.open(folder.source, "w:gz") as packed:
        entry = tarfile.TarInfo("code/train.py")
        entry.size = 3
        packed.addfile(entry, io.BytesIO(b"x=1"))
    return folder


def _in(place: Place, tmp_path: Path, run_id: str) -> RunFolder:
    folder = _folder(tmp_path, run_id)
    place.move_in(run_id, folder, "container")
    place.take_journal(folder)
    return folder


def test_a_run_s_files_are_in_the_mounted_folders_while_it_is_here(place: Place, tmp_path: Path) -> None:
    mounted = [path.stat().st_ino for path in (place.code, place.spool, place.exchange)]
    for run_id in ("first", "second"):
        folder = _in(place, tmp_path, run_id)
        assert (place.code / "train.py").read_text() == "x=1"
        assert (folder.spool / "journal").read_text() == run_id
        (place.spool / "more").touch()
        (place.code / "written").write_text("here")
        (place.exchange / "output").write_text("out")
        (place.exchange / "result").write_text("0 ")
        place.move_out(run_id, folder)
        place.move_out(run_id, folder)
        assert not folder.spool.is_symlink()
        assert {path.name for path in folder.spool.iterdir()} == {"journal", "more"}
        assert written_files.sizes(folder.job_code) == {"written": 4}
        assert (folder.job_output.read_text(), folder.job_result.read_text()) == ("out", "0 ")
        assert place.occupant() is None
        assert not any(place.spool.iterdir())
    assert mounted == [path.stat().st_ino for path in (place.code, place.spool, place.exchange)]


def test_a_move_that_was_cut_off_is_gone_on_with(place: Place, tmp_path: Path) -> None:
    folder = _in(place, tmp_path, "run")
    (place.exchange / "result").write_text("0 ")
    folder.spool.unlink()  # and then the machine went down
    place.move_out("run", folder)
    assert (folder.spool / "journal").read_text() == "run"
    assert folder.job_result.exists()

    half = _folder(tmp_path, "half")
    place.move_in("half", half, "container")
    (half.spool / "journal").rename(place.spool / "journal")
    place.move_out("half", half)
    assert (half.spool / "journal").read_text() == "half"


def test_a_run_cannot_have_another_file_read_for_its_output(place: Place, tmp_path: Path) -> None:
    folder = _in(place, tmp_path, "run")
    (secret := tmp_path / "secret").write_text("of the user")
    for name in ("output", "result", "refused"):
        (place.exchange / name).symlink_to(secret)
    assert place.answer("refused") is None
    assert not place.is_answered("result")
    place.move_out("run", folder)
    assert not folder.job_output.exists()
    assert not folder.job_result.exists()


def test_folders_that_a_run_has_closed_are_moved(place: Place, tmp_path: Path) -> None:
    folder = _in(place, tmp_path, "run")
    (place.code / "closed").mkdir(mode=0o500)
    place.move_out("run", folder)
    assert (folder.job_code / "closed").is_dir()
