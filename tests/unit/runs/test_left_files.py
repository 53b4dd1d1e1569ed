"""What a command leaves beside itself and does not log."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from trainer.backends import base
from trainer.backends.local.job import LocalJob
from trainer.runs import left_files
from trainer.runs.left_files import UnloggedFiles
from trainer.tracking.client import Run
from trainer.tracking.delivery import SpoolWriter
from trainer.workspace.run_folder import RunFolder
from trainkit.spool.journal import Spool

from unit.helpers import put

RUN = Run("r1", "1", "brave-hen", "RUNNING", "mlflow-artifacts:/1/r1/artifacts")


def job_of(folder: Path) -> LocalJob:
    """A job that wrote beside code that was unpacked."""
    SpoolWriter(RunFolder(folder)).begin(RUN, "demo", {}, {})
    code = folder / "code"
    for name in ("train.py", "out/logged.png", "out/model.pkl", "notes#1.txt", "__pycache__/x.pyc"):
        put(code / name, "x" * (200_000 if name.endswith(".pkl") else 5))
    os.utime(code / "train.py", (0, 0))
    put(folder / "logged.png")
    SpoolWriter(RunFolder(folder)).upload(RUN, folder / "logged.png", "plots/logged.png")
    return LocalJob(RunFolder(folder))


def settle(place: Path, job: LocalJob, *, keep: bool) -> UnloggedFiles | None:
    folder = RunFolder(place)
    return left_files.settle(SpoolWriter(folder), RUN, job, folder, keep=keep)


def told(folder: Path) -> list[dict[str, object]]:
    return Spool(RunFolder(folder).spool).pending()[1:]


def kept(folder: Path) -> set[str]:
    return {f"{item['path']}/{Path(str(item['file'])).name}" for item in told(folder) if "file" in item}


def test_what_was_left_is_named(tmp_path: Path) -> None:
    left = settle(tmp_path, job_of(tmp_path), keep=False)
    assert left
    assert left.remark == (
        "The run wrote 2 files in its folder (0.2 MB; the largest is out/model.pkl).\n"
        "Only what a script logs is kept. `trainer run --keep-files` stores such files as artifacts."
    )
    (tags,) = told(tmp_path)
    assert "2 files (0.2 MB; the largest is out/model.pkl)" in json.dumps(tags)


def test_what_was_left_is_kept_if_that_is_wanted(tmp_path: Path) -> None:
    left = settle(tmp_path, job_of(tmp_path), keep=True)
    assert left
    assert left.remark.endswith(
        "\nStored as artifacts in files/. Characters that the server cannot store are escaped: notes~231.txt."
    )
    assert kept(tmp_path) == {"files/out/model.pkl", "files/notes~231.txt"}


def test_a_name_that_no_server_stores_is_escaped(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    for name in ("out/model.pkl", "notes#1.txt"):
        (tmp_path / "code" / name).unlink()
    put(tmp_path / "code" / "caf\udce9\n.txt", "x")
    left = settle(tmp_path, job, keep=True)
    assert left
    assert left.remark == (
        "The run wrote 1 file in its folder (1 byte; the largest is caf~E9~0A.txt).\n"
        "Stored as artifacts in files/. Characters that the server cannot store are escaped: caf~E9~0A.txt."
    )
    assert kept(tmp_path) == {"files/caf~E9~0A.txt"}


def test_what_cannot_be_stored_under_an_escaped_name_is_named(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    for name in ("notes~231.txt", "#" * 99):
        put(tmp_path / "code" / name)
    left = settle(tmp_path, job, keep=True)
    assert left
    assert left.lost == ("~23" * 99, "notes~231.txt")
    assert f"files/, except {'~23' * 99}, notes~231.txt: its name is too long or taken." in left.remark
    assert kept(tmp_path) == {"files/out/model.pkl", "files/notes~231.txt"}


def test_without_such_files_nothing_is_reported(tmp_path: Path) -> None:
    SpoolWriter(RunFolder(tmp_path)).begin(RUN, "demo", {}, {})
    os.utime(put(tmp_path / "code" / "train.py"), (0, 0))
    assert settle(tmp_path, LocalJob(RunFolder(tmp_path)), keep=True) is None
    assert told(tmp_path) == []


def test_the_start_script_lists_them_where_it_is_asked_to(tmp_path: Path) -> None:
    start = Path(base.__file__).with_name("start.sh")
    code = tmp_path / "code"
    for name in ("train.py", "a b.txt", "sub/c.bin", "__pycache__/x.pyc", "two\n7 lines.txt"):
        put(code / name, "12345")
    os.utime(code / "train.py", (0, 0))
    listing = put(tmp_path / "result.files")
    command = ["sh", str(start), str(tmp_path / "result"), str(put(tmp_path / "environment")), "false"]
    assert subprocess.run(command, cwd=code, check=False).returncode == 1
    assert sorted(listing.read_text().splitlines()) == [
        "5 .//./a b.txt",
        "5 .//./sub/c.bin",
        "5 .//./two",
        "7 lines.txt",
    ]
    listing.unlink()
    subprocess.run(["sh", str(start), str(tmp_path / "result"), str(put(tmp_path / "environment")), "true"],
                   cwd=code, check=True)  # fmt: skip
    assert not listing.exists()
