"""What goes without an engine; containers, images and the volume are in tests/docker/test_gc.py."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from trainer import locks
from trainer.images import spec, trainer_image
from trainer.workspace import run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace
from trainkit.spool.journal import Spool
from trainkit.spool.responses import LOG_BATCH

from unit.helpers import HttpServer, Result, put
from unit.runs.helpers import API, ID, knows, live, not_there, record

Trainer = Callable[..., Result]
NO_ENGINE = "Its containers, images and cache were not looked at.\n"


def old(path: Path, days: float) -> Path:
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


def gone(trainer: Trainer, *arguments: str) -> list[str]:
    """The last parts of the names of what goes."""
    done = trainer("gc", "--json", *arguments)
    assert done.code == 0
    assert done.err.startswith("No Docker engine answers")
    return [Path(item["name"]).name for item in json.loads(done.out)]


@pytest.fixture
def folders(workspace: Workspace) -> Path:
    """Beginnings of launches, clones and resumptions, old and new ones."""
    state = workspace.state
    begun = ("runs/torn-old", "runs/new-young", "resume-old", "reproduce-old", "source-old", "source-young")
    for name in begun:
        days = 0 if name.endswith("young") else 1
        old(put(state / name / "file", "12345"), days)
        old(state / name, days)
    return state


def test_what_killed_launches_left_goes_and_what_is_being_made_stays(folders: Path, trainer: Trainer) -> None:
    names = ["reproduce-old", "resume-old", "torn-old", "source-old"]
    assert gone(trainer, "--dry-run") == names
    assert (folders / "runs" / "torn-old").exists()
    done = trainer("gc", "--yes")
    assert done.out.endswith("Removed 4 of 4, 0.0 MB.\n")
    assert sorted(path.name for path in folders.glob("*-*")) == ["source-young"]
    assert [path.name for path in (folders / "runs").iterdir()] == ["new-young"]
    again = trainer("gc", "--yes")
    assert (again.code, again.out) == (0, "Nothing to remove.\n")


def test_what_a_process_that_lives_is_at_work_in_stays(workspace: Workspace, trainer: Trainer) -> None:
    with locks.temporary_folder(workspace.state, "resume-") as used:
        old(used / "used", 1)
        old(used, 1)
        # A launch that fetches its inputs for hours.
        download = put(run_folders.new_folder(workspace).inputs / "part")
        old(download.parent, 1)
        old(download.parents[1], 1)
        done = trainer("gc", "--yes")
        assert done.out == "Nothing to remove.\n"
        assert used.exists()
        assert download.exists()
    assert not used.exists()


def old_tree(folder: Path) -> Path:
    for path in (*folder.rglob("*"), folder):
        old(path, 1)
    return folder


def test_what_is_on_this_disk_alone_stays_and_is_named(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    run = record(http_server, tracking_uri="http://127.0.0.1:1")
    folder = live(workspace, run, result="0 \n")
    spool = Spool(RunFolder(folder).spool)
    spool.create({"info": {"run_id": ID}})  # torn: that is said, and no more than that
    points = {"run_id": ID, "metrics": [{"key": "a", "value": 1}]}
    spool.append({"method": "POST", "path": LOG_BATCH, "body": points})
    run_folders.end(RunFolder(folder), "FINISHED")
    orphan = run_folders.new_folder(workspace)  # its record is lost
    Spool(orphan.spool).create({})
    Spool(orphan.spool).append({"body": {}})
    for place in (folder, orphan.path):
        old_tree(place)
    done = trainer("gc", "--yes")
    assert "1 run(s) have data that is on this disk alone. They were left alone: trainer sync\n" in done.err
    assert done.out == "Nothing to remove.\n"
    assert orphan.path.exists()
    (kept,) = json.loads(trainer("sync", "--dry-run", "--json").out)
    assert (kept["run_id"], kept["points"]) == (ID, 1)


def test_a_run_that_this_version_cannot_read_stays_and_every_command_names_it(
    workspace: Workspace, trainer: Trainer
) -> None:
    torn, other, newer = (workspace.state / "runs" / name for name in ("torn", "other", "newer"))
    put(torn / "record.json", '{"run_id": "r1", "proj')
    put(other / "launch.json", '{"version": 9, "run": {"id": "r2"}}')
    put(
        newer / "record.json",
        json.dumps({**asdict(Record("r3", "demo", "local", "http://x", True)), "schema": 2}),
    )
    damaged = (
        "cannot be read: its record is damaged. It is left as it is: remove the folder if you do not need it."
    )
    told = {
        torn: damaged,
        other: damaged,
        newer: "was written by a newer version of trainer. It is left as it is: upgrade trainer here.",
    }
    put(workspace.state / "environments" / "small-abc-py3.11" / "bin" / "python")
    for place in told:
        old_tree(place)
    for command in (("gc", "--yes"), ("reconcile",), ("sync",), ("ps",)):
        done = trainer(*command)
        assert done.code == 0
        for place, line in told.items():
            assert f"The run in {place} {line}\n" in done.err
            assert any(place.iterdir())
    assert (workspace.state / "environments" / "small-abc-py3.11").exists()


@pytest.mark.usefixtures("folders")
def test_nothing_goes_unasked(workspace: Workspace, trainer: Trainer) -> None:
    refused = trainer("gc")
    assert (refused.code, refused.err.splitlines()[1:]) == (
        2,
        [
            "Error: Nothing was removed: there is no terminal to ask for confirmation.",
            "Hint:  trainer gc --yes",
        ],
    )
    assert (workspace.state / "runs" / "torn-old").exists()


@pytest.mark.parametrize(
    ("typed", "said", "is_gone"),
    [
        ("maybe\nYes\n", ["Answer y or n.", "Removed 4 of 4, 0.0 MB."], True),
        ("n\n", ["Nothing was removed."], False),
        ("\n", ["Nothing was removed."], False),
    ],
)
def test_what_is_answered_is_done(folders: Path, typed: str, said: list[str], is_gone: bool) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", "gc"], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while piece := os.read(ours, 1000):
            shown += piece
    os.close(ours)
    assert process.wait() == 0
    assert [line for line in said if line not in shown.decode()] == []
    assert b"Error" not in shown
    assert (folders / "runs" / "torn-old").exists() is not is_gone


def test_old_logs_of_builds_go(workspace: Workspace, trainer: Trainer) -> None:
    old(put(workspace.state / "build-a.log"), 40)
    put(workspace.state / "build-b.log")
    assert gone(trainer, "--dry-run") == ["build-a.log"]
    assert gone(trainer, "--dry-run", "--older-than", "50") == []


def test_packed_code_that_was_not_launched_for_long_goes(workspace: Workspace, trainer: Trainer) -> None:
    old(put(workspace.state / "code" / "a" / "kept.json").parent, 40)
    put(workspace.state / "code" / "b" / "kept.json")
    assert gone(trainer, "--yes") == ["a"]
    assert [path.name for path in (workspace.state / "code").iterdir()] == ["b"]


def test_of_the_cache_goes_what_was_not_used_for_long_and_only_if_asked(
    workspace: Workspace, trainer: Trainer
) -> None:
    cache = workspace.state / "cache"
    old(put(cache / "pixels" / "a.npy", "123"), 40)
    old(put(cache / "checkpoints" / "r1" / "head" / "state.json"), 40)
    put(cache / "checkpoints" / "r1" / "head" / "epoch-0002.weights.h5")
    old(put(cache / "checkpoints" / "r2" / "state.pt"), 40)
    assert gone(trainer, "--dry-run") == []
    assert gone(trainer, "--dry-run", "--cache") == ["r2", "a.npy"]
    assert gone(trainer, "--yes", "--cache") == ["r2", "a.npy"]
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == [
        "epoch-0002.weights.h5",
        "state.json",
    ]


def test_nothing_that_a_live_run_uses_goes(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    old(put(workspace.state / "cache" / "pixels" / "a.npy"), 40)
    folder = live(workspace, record(http_server))
    old(folder, 40)
    lock = locks.acquire(folder / "looked-after")
    done = trainer("gc", "--cache", "--yes")
    assert "A live run may use the local cache: nothing of it is removed." in done.err
    assert done.out == "Nothing to remove.\n"
    assert folder.exists()
    assert lock
    lock.release()


def test_a_run_that_its_server_does_not_know_goes_on_request_alone(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    knows(http_server, record(http_server))
    http_server.replies[f"{API}/runs/get"] = [not_there()]
    folder = live(workspace, record(http_server), result="0 \n")
    assert trainer("reconcile").code == 84
    assert folder.exists()
    assert gone(trainer, "--dry-run") == [ID]
    assert folder.exists()
    assert gone(trainer, "--yes") == [ID]
    assert run_folders.live(workspace) == []


def test_a_run_whose_server_is_away_stays(
    workspace: Workspace, trainer: Trainer, http_server: HttpServer
) -> None:
    folder = live(workspace, record(http_server, tracking_uri="http://127.0.0.1:1"), result="0 \n")
    done = trainer("gc", "--yes")
    assert "Runs whose end is not told yet were left alone: The tracking server" in done.err
    assert folder.exists()


def test_an_environment_of_today_is_no_leftover(workspace: Workspace, trainer: Trainer) -> None:
    image = trainer_image.plan(workspace, spec.spec(workspace, "small"))
    put(workspace.state / "environments" / f"small-{image.digest[:12]}-py3.11" / "bin" / "python")
    assert gone(trainer, "--dry-run") == []
