"""A tracking server that takes its time, or never answers: what a command shows, and when it gives up."""

import json
import time
from collections.abc import Callable

import pytest
from trainer.cli.main import main
from trainer.errors import TrackingError
from trainer.tracking import connection
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import Unreachable
from trainer.workspace.settings import Workspace

from unit.cli.live.test_progress import on_terminal
from unit.helpers import HttpServer, Reply, Result, fails

Trainer = Callable[..., Result]
READING = [["runs"], ["show", "hen"], ["compare", "hen", "owl"], ["download", "hen"], ["open", "hen"],
           ["logs", "hen"], ["runs", "delete", "hen"]]  # fmt: skip


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch, http_server: HttpServer) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)


@pytest.mark.parametrize("command", READING, ids=lambda command: " ".join(command))
def test_a_server_that_never_answers_is_named_after_a_second_and_given_up(
    trainer: Trainer, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(connection, "READING_S", (5, 1.5))
    http_server.replies["*"] = [Reply(delay_s=4)]
    began = time.monotonic()
    done = trainer(*command)
    assert time.monotonic() - began < 3.5
    assert (done.code, done.out) == (TrackingError.exit_code, "")
    assert done.err.splitlines() == [
        f"Asking {http_server.uri}",
        f"Error: The tracking server {http_server.uri} gave no answer in 1.5 s.",
        "Hint:  See whether it is up, and whether a firewall lies between.",
    ]


def test_a_change_is_waited_for_longer_than_an_answer(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READING_S", (5, 0.2))
    http_server.replies["*"] = [Reply(delay_s=0.6)]
    client = Client(Server(http_server.uri))
    client.set_tags("ab12", {"stage": "candidate"})
    with fails(Unreachable, f"The tracking server {http_server.uri} gave no answer in 0.2 s."):
        client.get_run("ab12")


def test_a_quick_answer_costs_no_line(trainer: Trainer, http_server: HttpServer) -> None:
    _has_no_runs(http_server)
    assert (trainer("runs").out, trainer("runs").err) == ("No runs.\n", "")


def test_several_slow_answers_are_one_line_and_the_result_is_whole(
    trainer: Trainer, http_server: HttpServer
) -> None:
    _has_no_runs(http_server, delay_s=0.8)
    done = trainer("runs", "demo", "--json")
    assert len(http_server.asked) > 1
    assert (json.loads(done.out), done.err) == ([], f"Asking {http_server.uri}\n")


@pytest.mark.usefixtures("workspace")
def test_a_terminal_has_a_line_with_a_clock_that_gives_way_to_the_result(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _has_no_runs(http_server, delay_s=1.5)
    with on_terminal(monkeypatch) as terminal, pytest.raises(SystemExit):
        main(["runs", "demo"])
    assert f"Asking {http_server.uri}  0:01".encode() in terminal.written
    assert terminal.lines() == ["No runs.", ""]


def test_where_a_command_says_already_what_it_does_that_stays(
    trainer: Trainer, http_server: HttpServer, workspace: Workspace
) -> None:
    http_server.replies["*"] = [Reply(500, "boom", delay_s=1.5)]
    done = trainer("run", str(workspace.root / "train_code" / "demo"), "--backend", "local")
    assert "Connecting to the tracking server" in done.err
    assert "Asking" not in done.err


def _has_no_runs(server: HttpServer, delay_s: float = 0) -> None:
    experiment = {"experiment_id": "7", "name": "demo", "lifecycle_stage": "active"}
    server.replies["*"] = [Reply(body=json.dumps({"experiments": [experiment]}), delay_s=delay_s)]
