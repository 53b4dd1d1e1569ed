"""`trainer queue`, and `trainer run --queue` as far as it needs no engine."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.cli.main import main
from trainer.queue import entries, work
from trainer.queue.entries import After, Reason, Started
from trainer.queue.work import Pass
from trainer.workspace.settings import Workspace

from unit.cli.live.test_progress import on_terminal
from unit.helpers import HttpServer, Result
from unit.queue.helpers import queued
from unit.tracking.histories import has

Trainer = Callable[..., Result]


@pytest.fixture(autouse=True)
def background(monkeypatch: pytest.MonkeyPatch) -> list[Workspace]:
    """Every time that something is to be started in the background."""
    calls: list[Workspace] = []
    monkeypatch.setattr(work, "in_background", calls.append)
    return calls


def error(result: Result) -> list[str]:
    assert result.code == 2, result
    return result.err.splitlines()[-2:]


def test_an_empty_queue_says_so(trainer: Trainer) -> None:
    assert trainer("queue").out == "Nothing is queued.\n"
    assert json.loads(trainer("queue", "list", "--json").out) == []


def test_the_table_says_what_each_entry_waits_for(workspace: Workspace, trainer: Trainer) -> None:
    _, running = queued(workspace, "aa111111", gpus=1, position=1.0)
    entries.write(running.started, Started("f" * 32, began=True))
    _, waiting = queued(workspace, "bb222222", gpus=2, memory="8g", priority=3, name="big", position=2.0)
    entries.write(waiting.waits, Reason("--gpus 2: 1 of 2 GPUs free."))
    queued(workspace, "cc333333", cpus=1, after=(After("entry", "bb222222"),), position=3.0)
    _, held = queued(workspace, "dd444444", position=4.0)
    entries.write(held.held, Reason("The image x is not here any more.", "Queue it again."))
    listed = trainer("queue")
    rows = [line.split("  ") for line in listed.out.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["ENTRY", "RUN", "PROJECT", "STATE", "NEEDS", "PRIORITY", "AGE"],
        ["aa111111", "demo", "running: ffffffff", "1 GPU", "0", "0 s"],
        ["1", "bb222222", "big", "demo", "waiting: --gpus 2: 1 of 2 GPUs free.", "2 GPUs, 8g", "3", "0 s"],
        ["2", "cc333333", "demo", "waiting: after bb222222", "1 core", "0", "0 s"],
        ["dd444444", "demo", "held: The image x is not here any more.", "0", "0 s"],
    ]
    assert listed.err == "dd444444: Queue it again.\n"
    payload = json.loads(trainer("queue", "list", "--json").out)
    assert [each["state"] for each in payload] == ["running", "waiting", "waiting", "held"]
    assert payload[1]["needs"] == {"gpus": "2", "cpus": None, "memory": "8g"}
    assert payload[2]["after"] == ["bb222222"]
    assert payload[3]["why"] == "The image x is not here any more."


def test_the_table_fits_a_terminal(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = queued(workspace, "aa111111", gpus=2, cpus=8, memory="64g", name="thoughtful-lamb-583")
    entries.write(folder.waits, Reason("--gpus 2: 0 of 2 GPUs free. In use by brave-hen-7 (d49b3fbf)."))
    with on_terminal(monkeypatch, COLUMNS="80", NO_COLOR="1") as terminal, pytest.raises(SystemExit):
        main(["queue"])
    lines = [line.rstrip() for line in terminal.lines()]
    heading = next(number for number, line in enumerate(lines) if "ENTRY" in line)
    assert lines[heading].split() == ["ENTRY", "RUN", "PROJECT", "STATE"]
    assert max(map(len, lines)) <= 80
    assert lines[heading + 1].split()[:4] == ["1", "aa111111", "thoughtful-lamb-583", "demo"]
    assert "(d49b3fbf)." in "\n".join(lines)


def test_a_damaged_entry_is_named_with_what_removes_it(workspace: Workspace, trainer: Trainer) -> None:
    _, folder = queued(workspace, "aa111111")
    folder.record.write_text("overwritten")
    listed = trainer("queue")
    assert (listed.code, listed.out) == (0, "")
    assert listed.err == (
        "The entry aa111111 is damaged, or of a newer version of trainer: it is never started here. "
        "To remove it: trainer queue cancel aa111111\n"
    )
    assert trainer("queue", "cancel", "aa111111").out == "aa111111 is cancelled.\n"
    assert (trainer("queue").out, trainer("queue").err) == ("Nothing is queued.\n", "")


def test_who_works_through_the_queue_is_told_why_the_next_one_waits_when_that_changes(
    workspace: Workspace, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = queued(workspace, "aa111111", position=1.0, name="last", after=(After("entry", "bb222222"),))
    waiting, folder = queued(workspace, "bb222222", gpus=1, position=2.0, name="first")
    _, held = queued(workspace, "cc333333", position=3.0)

    def look(_: Workspace, __: object, goes_on: Callable[[Pass], bool]) -> None:
        for why in ("no GPU is free", "no GPU is free", "no core is free"):
            entries.write(folder.waits, Reason(why))
            assert goes_on(Pass(waits=True))
        entries.write(held.held, Reason("paused"))
        entries.end(workspace, waiting, folder, "FINISHED")
        assert not goes_on(Pass())

    monkeypatch.setattr(work, "keep_starting", look)
    done = trainer("queue", "work", "--until-empty")
    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if " waits: " in line or " is held: " in line] == [
        "bb222222 (first) waits: no GPU is free",
        "bb222222 (first) waits: no core is free",
        "aa111111 (last) waits: its turn",
        "cc333333 (demo) is held: paused",
    ]
    assert other.record.exists()


@pytest.mark.parametrize("command", [["stop"], ["logs"], ["show"]])
def test_a_command_on_a_run_that_waits_says_so(
    workspace: Workspace,
    http_server: HttpServer,
    trainer: Trainer,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    queued(workspace, "aa111111", name="pinned")
    _, begun = queued(workspace, "bb222222", name="begun")
    entries.write(begun.started, Started("f" * 32))
    said = [
        "Error: There is no run pinned yet: it waits in the queue.",
        "Hint:  To take it out: trainer queue cancel pinned",
    ]
    assert error(trainer(*command, "pinned")) == said  # no server has ever been there
    has(http_server, [])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    assert error(trainer(*command, "pinned")) == said
    assert error(trainer(*command, "begun"))[0] == "Error: There is no run begun."


def test_ps_says_how_many_wait(workspace: Workspace, trainer: Trainer) -> None:
    queued(workspace, "aa111111")
    assert "1 more waits in the queue: trainer queue\n" in trainer("ps").err
    queued(workspace, "bb222222")
    assert "2 more wait in the queue: trainer queue\n" in trainer("ps").err


def test_cancel_move_pause_and_resume_say_what_they_did(workspace: Workspace, trainer: Trainer) -> None:
    for name in ("aa111111", "bb222222"):
        queued(workspace, name)
    assert trainer("queue", "move", "bb", "--first").out == "bb222222 is first now.\n"
    assert trainer("queue", "move", "bb", "--priority", "-5").out == "bb222222 is in the priority -5 now.\n"
    assert trainer("queue", "pause", "aa").out == "aa111111 is paused.\n"
    assert trainer("queue").err == "aa111111: trainer queue resume aa111111\n"
    assert trainer("queue", "resume", "aa").out == "aa111111 waits for its turn.\n"
    assert trainer("queue", "pause").out == "The queue is paused. What runs goes on.\n"
    assert trainer("queue").err.startswith("The queue is paused: nothing is started")
    assert trainer("queue", "resume").out == "The queue goes on.\n"
    assert trainer("queue", "cancel", "aa", "bb").out == "aa111111 is cancelled.\nbb222222 is cancelled.\n"
    again = trainer("queue", "cancel", "aa")
    assert (again.code, again.out) == (0, "aa111111 was cancelled already.\n")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["cancel", "zz"], "There is no entry zz in the queue.", "`trainer queue` lists what is in it."),
        (["move", "aa"], "Specify where the entry is to stand.", "One of --first, --last and --priority N."),
        (
            ["move", "aa", "--first", "--last"],
            "Specify where the entry is to stand.",
            "One of --first, --last and --priority N.",
        ),
        (["pause", "zz"], "There is no entry zz in the queue.", "`trainer queue` lists what is in it."),
        (["resume", "zz"], "There is no entry zz in the queue.", "`trainer queue` lists what is in it."),
    ],
)
def test_bad_input_is_two_lines(
    workspace: Workspace, trainer: Trainer, arguments: list[str], message: str, hint: str
) -> None:
    queued(workspace, "aa111111")
    assert error(trainer("queue", *arguments)) == [f"Error: {message}", f"Hint:  {hint}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--priority", "3"], "--priority is for a run that waits for its turn."),
        (["--after", "@last"], "--after is for a run that waits for its turn."),
        (["--queue", "--epochs", "x"], "--epochs is 'x', which is not of type int."),
        (
            ["--queue", "--tracking-uri", "http://ada:secret@example.com"],
            "The address of http://example.com has a password in it, which is not stored with an entry.",
        ),
    ],
)
def test_what_cannot_be_queued_is_refused_before_anything_exists(
    workspace: Workspace, trainer: Trainer, arguments: list[str], message: str
) -> None:
    assert error(trainer("run", "demo", *arguments))[0] == f"Error: {message}"
    assert not (workspace.state / "queue").exists()


def test_a_dry_run_queues_nothing(workspace: Workspace, trainer: Trainer) -> None:
    shown = trainer("run", "demo", "--queue", "--dry-run")
    assert shown.code == 0
    assert "python train.py" in shown.out
    assert not (workspace.state / "queue").exists()


def test_without_an_engine_nothing_is_queued(workspace: Workspace, trainer: Trainer) -> None:
    refused = trainer("run", "demo", "--queue")
    assert refused.code == 82
    assert not list((workspace.state / "queue").glob("entries/*"))
    assert not list(workspace.state.glob("queued-*"))


def test_every_command_that_ends_a_run_has_the_next_one_started(
    workspace: Workspace, trainer: Trainer, background: list[Workspace]
) -> None:
    for command in (["reconcile"], ["ps"], ["stop", "--all"], ["run", "demo"]):
        background.clear()
        trainer(*command)
        assert [each.root for each in background] == [workspace.root], command


def test_the_unit_of_systemd_is_valid_and_nobody_elses_is_replaced(
    workspace: Workspace, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/a b%c.sock")
    text = trainer("queue", "install", "--dry-run").out
    assert not (tmp_path / "config").exists()
    done = trainer("queue", "install")
    path = tmp_path / "config" / "systemd" / "user" / f"trainer-queue-{workspace.identity}.service"
    assert done.out.splitlines() == [
        f"Written: {path}",
        "Next: systemctl --user daemon-reload",
        f"      systemctl --user enable --now {path.name}",
    ]
    assert path.read_text() == text
    assert trainer("queue", "install").code == 0
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--user", str(path)], capture_output=True, text=True, check=False
        )
        assert path.name not in checked.stderr, checked.stderr
    path.write_text("[Unit]\n")
    assert trainer("queue", "install").code == 92
    assert path.read_text() == "[Unit]\n"
