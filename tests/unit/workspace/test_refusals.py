"""What a server refused of runs is kept where its owner finds it."""

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.workspace import refusals, run_folders
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Result, put
from unit.runs.helpers import live, record

RUN_ID = "3f4c" * 8


def refused(workspace: Workspace, *reasons: str) -> Path:
    """A run that has ended, of which the server refused so many records."""
    lines = [json.dumps({"record": {}, "status": 413, "answer": reason}) for reason in reasons]
    path = workspace.state / "runs" / RUN_ID
    put(path / "spool" / "refused", "".join(f"{line}\n" for line in lines))
    return path


def test_what_was_refused_is_kept_when_the_run_is_removed(workspace: Workspace) -> None:
    refused(workspace, "a.bin (2.0 MB): the server answered 413.", "<b>no</b>", "no", "three", "four")
    run_folders.remove(workspace, RUN_ID)
    (kept,) = refusals.all_refused(workspace)
    assert kept.folder == workspace.state / "refused" / RUN_ID
    assert str(kept) == (
        "The tracking server refused 5 records of the run 3f4c3f4c for good: "
        "a.bin (2.0 MB): the server answered 413; no; three."
    )
    assert kept.error.exit_code == 84
    assert refusals.of_run(workspace, RUN_ID) == kept
    assert refusals.of_run(workspace, "another") is None


def test_a_run_that_is_refused_something_again_loses_none_of_it(workspace: Workspace) -> None:
    for reason in ("once", "twice", "thrice"):
        refused(workspace, reason)
        run_folders.remove(workspace, RUN_ID)
    assert [(kept.run_id, kept.reasons) for kept in refusals.all_refused(workspace)] == [
        (RUN_ID, ("once",)),
        (RUN_ID, ("twice",)),
        (RUN_ID, ("thrice",)),
    ]
    assert list((workspace.state / "runs").iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "link", "torn"])
def test_what_a_live_run_puts_in_its_place_stops_nobody(workspace: Workspace, kind: str) -> None:
    file = put(workspace.state / "runs" / RUN_ID / "spool" / "refused", "no JSON\n")
    if kind == "torn":
        (kept,) = refusals.all_refused(workspace)
        assert kept.reasons == ("it cannot be read",)
        return
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(put(workspace.root / "mine", '{"answer": "secret"}\n'))
    assert list(refusals.all_refused(workspace)) == []


def test_reconcile_and_sync_say_what_was_refused(
    workspace: Workspace, trainer: Callable[..., Result]
) -> None:
    refused(workspace, "the server answered 404: Not Found")
    run_folders.remove(workspace, RUN_ID)
    told = (
        "The tracking server refused 1 record of the run 3f4c3f4c for good: "
        f"the server answered 404: Not Found. It is in {workspace.state / 'refused' / RUN_ID}\n"
    )
    assert trainer("reconcile") == Result(0, "Nothing to do: no run is unattended.\n", told)
    assert trainer("sync", "--dry-run").err == told


def test_a_server_that_gives_no_answer_is_asked_once(
    workspace: Workspace, trainer: Callable[..., Result]
) -> None:
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            while True:
                try:
                    listening.accept()[0].close()
                except OSError:
                    return
                asked.append(1)

        threading.Thread(target=hang_up, daemon=True).start()
        server = HttpServer(listening.getsockname()[1])
        counts = []
        for number in range(3):
            live(workspace, record(server, run_id=f"{number}" * 32), result="0 \n")
            before = len(asked)
            assert trainer("sync").code == 84
            counts.append(len(asked) - before)
    assert counts[0] > 0
    assert counts == [counts[0]] * 3
