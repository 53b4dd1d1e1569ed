import errno
import json
import os
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from trainer.cli import main as command_line
from trainer.cli.commands import ALL, LazyCommand, loaded
from trainer.errors import Interrupted, InvalidInput, TrackingError
from trainer.workspace.settings import Workspace

from unit.cli.live.test_progress import on_terminal
from unit.helpers import Result, make_workspace, put

Trainer = Callable[..., Result]
CANARY = "canary-7f3a"
BUG = "This is a bug in trainer. Please report it with what `trainer --debug …` prints instead."


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes the command `trainer broken` raise something."""

    def register(problem: BaseException) -> None:
        @click.command()
        def broken() -> None:
            raise problem

        monkeypatch.setitem(command_line.cli.commands, "broken", broken)

    return register


Breaks = Callable[[BaseException], None]


@pytest.mark.parametrize(
    ("problem", "message", "hint", "code"),
    [
        (TrackingError("It is down.", "Start it."), "It is down.", "Start it.", 84),
        (
            Interrupted(15),
            "Stopped by SIGTERM.",
            "The same command starts it again.",
            143,
        ),
        (
            KeyboardInterrupt(),
            "Stopped.",
            "The same command starts it again.",
            130,
        ),
        (ValueError("odd"), "Unexpected: ValueError: odd", BUG, 80),
        (click.ClickException("no"), "no", "trainer --help", 1),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            "/x: Permission denied.",
            "Change its permissions (ls -ld shows them), or use another folder.",
            92,
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "a", None, b"b"),
            "a → b: Read-only file system.",
            "It is on a file system that is mounted read-only. Use another folder.",
            92,
        ),
        (
            OSError(errno.EIO, "Input/output error"),
            "Input/output error.",
            "The operating system says so. `trainer --debug …` shows what trainer was doing.",
            92,
        ),
        (
            RuntimeError("Symlink loop from '/x'"),
            "/x: Too many levels of symbolic links.",
            "The link leads to itself. Remove it.",
            92,
        ),
    ],
)
def test_a_failure_is_two_lines_and_an_exit_code(
    trainer: Trainer, breaks: Breaks, problem: BaseException, message: str, hint: str, code: int
) -> None:
    breaks(problem)
    done = trainer("broken")
    # click ends the line with ^C first.
    assert Result(done.code, done.out, done.err.lstrip()) == Result(
        code, "", f"Error: {message}\nHint:  {hint}\n"
    )


def test_a_reader_that_has_gone_is_no_failure(
    breaks: Breaks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    breaks(BrokenPipeError())
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as ended:
            command_line.main(["broken"])
    assert ended.value.code == 141


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("rnu", "No such command 'rnu'.", "trainer --help"),
        ("--no-such run", "No such option '--no-such'.", "trainer --help"),
        ("--workspace /no/such run", None, "trainer --help"),
        ("server halt", "No such command 'halt'.", "trainer server --help"),
        ("server stop", "No such command 'stop'.", "trainer server down"),
        (
            "rm",
            "No such command 'rm'.",
            "trainer runs delete RUN; unused files, images and containers: trainer gc",
        ),
        ("list", "No such command 'list'.", "trainer runs"),
    ],
)
def test_a_wrong_command_line(trainer: Trainer, arguments: str, message: str | None, hint: str) -> None:
    done = trainer(*arguments.split())
    error, said = done.err.splitlines()
    assert (done.code, done.out, said) == (2, "", f"Hint:  {hint}")
    assert error.startswith(f"Error: {message or ''}")


@pytest.mark.parametrize("group", [[], ["server"]])
def test_without_a_command_there_is_help_and_no_error(trainer: Trainer, group: list[str]) -> None:
    done = trainer(*group)
    assert "Usage: trainer" in done.out + done.err
    assert "Error:" not in done.err


def test_the_version(trainer: Trainer) -> None:
    assert trainer("--version") == Result(0, f"trainer, version {version('trainer')}\n", "")


def test_every_command_has_help(trainer: Trainer) -> None:
    for name, command in command_line.cli.commands.items():
        assert isinstance(command, LazyCommand)
        done = trainer(name, "--help")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Usage: trainer {name}")
        assert command.load().help


def test_the_workspace_can_be_named(trainer: Trainer, tmp_path: Path) -> None:
    make_workspace(tmp_path / "other")
    put(tmp_path / "other" / "trainer.yaml", "base_image: debian:12\n")
    done = trainer("--workspace", str(tmp_path / "other"), "run", "demo", "--dry-run", "--json")
    assert json.loads(done.out)["image"]["base_image"] == "debian:12"


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("debug", [False, True])
def test_no_message_and_no_traceback_shows_a_secret(
    trainer: Trainer,
    workspace: Workspace,
    breaks: Breaks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: bool,
    debug: bool,
) -> None:
    put(workspace.secrets_file, f"API_KEY={CANARY}\n").chmod(0o600)
    breaks(RuntimeError(f"the key {CANARY} is wrong"))
    if named:
        monkeypatch.chdir(tmp_path)
    arguments = [*(["--debug"] if debug else []), *(["--workspace", str(workspace.root)] if named else [])]
    done = trainer(*arguments, "broken")
    assert CANARY not in done.err
    assert "the key *** is wrong" in done.err
    assert ("Traceback" in done.err) is debug


def test_debug_shows_where_an_expected_failure_comes_from(trainer: Trainer, breaks: Breaks) -> None:
    breaks(TrackingError("It is down.", "Start it."))
    done = trainer("--debug", "broken")
    assert done.code == 84
    assert done.err.startswith("Error: It is down.\nHint:  Start it.\n")
    assert "raise problem" in done.err


def imported_by(*arguments: str) -> set[str]:
    script = (
        "import sys\nfrom trainer.cli.main import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit as ended: assert ended.code == 0, ended.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"]])
def test_help_of_all_imports_no_command(workspace: Workspace, arguments: list[str]) -> None:
    assert workspace.root == Path.cwd()
    modules = imported_by(*arguments)
    assert "logging" not in modules
    ours = {name for name in modules if name.startswith("trainer.")}
    assert ours - {"trainer.cli.completion", "trainer.errors"} == {
        "trainer.cli",
        "trainer.cli.commands",
        "trainer.cli.context",
        "trainer.cli.examples",
        "trainer.cli.diagnostics",
        "trainer.cli.live",
        "trainer.cli.live.asking",
        "trainer.cli.main",
        "trainer.cli.streams",
        "trainer.progress",
        "trainer.printable",
    }


def test_a_command_is_listed_with_its_own_short_help() -> None:
    loaded = [(later, later.load()) for later in ALL]
    assert [(later.name, later.short_help) for later, _ in loaded] == [
        (command.name, command.get_short_help_str(200)) for _, command in loaded
    ]


@pytest.mark.parametrize(
    ("arguments", "module"),
    [(["run", "demo"], "trainer.cli.runs.run"), (["sweep", "demo"], "trainer.cli.sweep.start")],
)
def test_help_pays_for_no_heavy_import(workspace: Workspace, arguments: list[str], module: str) -> None:
    assert workspace.root == Path.cwd()
    modules = imported_by(*arguments, "--help")
    assert module in modules
    assert not modules & {
        "mlflow",
        "optuna",
        "docker",
        "rich",
        "requests",
        "urllib3",
        "sqlalchemy",
        "uvicorn",
        "dotenv",
    }


def test_a_dry_run_imports_neither_mlflow_nor_docker(workspace: Workspace) -> None:
    assert workspace.root == Path.cwd()
    assert not imported_by("run", "demo", "--dry-run") & {"mlflow", "docker"}


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        command = loaded(command)
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_no_command_is_cut_short_where_its_group_lists_it() -> None:
    cut = [
        path
        for path, command in commands(command_line.cli, "trainer")
        if not command.hidden and "..." in command.get_short_help_str(60)
    ]
    assert cut == []


LONG = "The table customers.csv has no column of that name, and none that is nearly like it in any way."


@pytest.mark.parametrize(
    ("hint", "lines"),
    [
        (
            "See its columns first: trainer data stats customers.csv --target churned --output some/folder",
            [
                "Hint:  See its columns first:",
                "       trainer data stats customers.csv --target churned --output some/folder",
            ],
        ),
        (
            "Put the run's own file back in the folder, or look with `trainer data list --json`, all of it.",
            [
                "Hint:  Put the run's own file back in the folder, or look with",
                "       `trainer data list --json`, all of it.",
            ],
        ),
        ("Use /a-folder/" + "x-" * 50, ["Hint:  Use", "       /a-folder/" + "x-" * 50]),
    ],
)
def test_a_terminal_shows_a_failure_in_whole_words(
    breaks: Breaks, monkeypatch: pytest.MonkeyPatch, hint: str, lines: list[str]
) -> None:
    breaks(InvalidInput(LONG, hint))
    with on_terminal(monkeypatch, NO_COLOR="1") as terminal:
        termios.tcsetwinsize(sys.stderr.fileno(), (24, 80))
        with pytest.raises(SystemExit):
            command_line.main(["broken"])
    assert terminal.written.decode().replace("\r\n", "\n").splitlines() == [
        "Error: The table customers.csv has no column of that name, and none that is",
        "       nearly like it in any way.",
        *lines,
    ]
