"""-v and --debug, before the command and after it."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterator

import click
import pytest
from trainer.cli.commands import loaded
from trainer.cli.main import cli
from trainer.workspace import run_folders
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, put
from unit.runs.helpers import API, ID, knows, live, record

Trainer = Callable[..., Result]
CANARY = "canary-7f3a"
NONE = f"{API}/experiments/search", f"{API}/runs/search"


@pytest.fixture
def no_runs(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> HttpServer:
    """The server that runs report to; it has none, and its address has a secret in it."""
    for path in NONE:
        http_server.replies[f"/{CANARY}{path}"] = [Reply(body="{}")]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@127.0.0.1:{http_server.port}/{CANARY}")
    return http_server


@pytest.mark.parametrize("arguments", [["-v", "runs", "--json"], ["runs", "--json", "-v"]])
def test_the_log_goes_to_stderr_without_secrets(
    trainer: Trainer, workspace: Workspace, no_runs: HttpServer, arguments: list[str]
) -> None:
    put(workspace.secrets_file, f"API_KEY={CANARY}\n").chmod(0o600)
    done = trainer(*arguments)
    assert json.loads(done.out) == []
    assert CANARY not in done.err
    assert "hunter2" not in done.err
    lines = [re.sub(r"^\d\d:\d\d:\d\d\.\d\d\d INFO |, \d+ ms$", "", line) for line in done.err.splitlines()]
    assert (
        lines
        == [
            f"trainer.tracking.endpoint: Tracking server: http://127.0.0.1:{no_runs.port}/***, "
            "named by MLFLOW_TRACKING_URI of the environment",
            f"trainer.tracking.connection: GET /***{NONE[0]}: 200",
            f"trainer.tracking.connection: POST /***{NONE[1]}: 200",
        ][: len(lines)]
    )
    assert len(lines) >= 2
    assert trainer("runs", "--json") == Result(0, done.out, "")
    assert logging.getLogger("trainer").handlers == []


def test_a_server_that_does_not_answer_is_in_the_log(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert f"GET {NONE[0]}: no answer (ConnectionError)\n" in trainer("runs", "-v").err


@pytest.mark.parametrize("arguments", [["-vv"], ["-v", "-v"]])
def test_twice_it_tells_of_programs_too(trainer: Trainer, workspace: Workspace, arguments: list[str]) -> None:
    subprocess.run(["git", "init", "--quiet", str(workspace.root)], check=True)
    first, *rest = arguments
    done = trainer(first, "run", "demo", "--dry-run", "--json", *rest)
    assert json.loads(done.out)["project"] == "demo"
    assert "DEBUG trainer.git: git -C" in done.err
    assert "INFO trainer.plan.run_image: Image: trainer/small:" in done.err
    assert "DEBUG" not in trainer("-v", "run", "demo", "--dry-run").err


def test_a_log_that_cannot_be_written_is_no_failure(
    trainer: Trainer, no_runs: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(line: str) -> None:
        raise OSError(28, "No space left on device", line)

    assert no_runs.port
    monkeypatch.setattr("trainer.cli.output.tell", full)
    assert trainer("-v", "runs", "--json") == Result(0, "[]\n", "")


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, below in group.commands.items():
        command = loaded(below)
        yield f"{path} {name}".strip(), command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_every_command_takes_both_and_its_help_does_not_repeat_them() -> None:
    for path, command in commands(cli):
        names = [name for parameter in command.params for name in parameter.opts]
        assert sorted({"-v", "--verbose", "--debug"} & {*names}) == ["--debug", "--verbose", "-v"], path
        assert len(names) == len({*names}), path
        assert "--verbose" not in command.get_help(click.Context(command)), path


@pytest.mark.parametrize(
    "line",
    [
        "--debug build-image x",
        "build-image x --debug",
        "build-image --debug x",
        "data show x --debug",
        "data --debug show x",
    ],
)
def test_debug_shows_where_a_failure_comes_from(trainer: Trainer, line: str) -> None:
    done = trainer(*line.split())
    assert done.code != 0
    assert "Traceback" in done.err
    assert "Traceback" not in trainer(*line.replace("--debug", "").split()).err


@pytest.mark.parametrize("name", ["debug", "verbose"])
def test_a_parameter_of_a_project_comes_before_an_option_of_that_name(
    trainer: Trainer, workspace: Workspace, name: str
) -> None:
    declared = f"entry_points: {{main: {{parameters: {{{name}: int}}, command: 'echo {{{name}}}'}}}}\n"
    put(workspace.projects / "own" / "MLproject", f"docker_env: {{image: trainer/small}}\n{declared}")
    done = trainer("run", "own", f"--{name}", "3", "--dry-run", "--json")
    assert json.loads(done.out)["parameters"] == {name: "3"}
    assert trainer(f"--{name}", "run", "own", f"--{name}", "3", "--dry-run").code == 0


def test_what_was_done_with_a_run_is_in_its_folder(
    trainer: Trainer, workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", f"{CANARY}-of-the-environment")
    put(workspace.secrets_file, f"API_KEY={CANARY}\n").chmod(0o600)
    run = record(http_server, secret_names=("TOKEN",))
    folder = live(workspace, run, output=f"{CANARY}\n".encode(), result="0 0")
    knows(http_server, run)
    http_server.replies[f"{API}/runs/log-batch"] = [Reply(500, f"boom {CANARY}-of-the-environment")]
    trainer("reconcile")
    assert run_folders.ended(RunFolder(folder)) is not None
    log = (folder / "trainer.log").read_text()
    entry = (
        rf"\d{{4}}-\d\d-\d\d [\d:.]+ INFO trainer.tracking.connection: POST {API}/runs/log-batch: 500, \d+ ms"
    )
    assert re.search(rf"^{entry}$", log, re.MULTILINE), log
    assert f"INFO trainer.runs.reconcile: Run {ID} is not settled: " in log
    assert CANARY not in log, log
