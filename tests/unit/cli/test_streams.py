"""What a shell can do to the standard streams, with processes as a shell makes them."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from trainer.workspace.settings import Workspace

from unit.helpers import MLPROJECT, Result, put

pytestmark = pytest.mark.usefixtures("workspace")

FULL = "Error: The disk is full: standard output\n"


def shell(line: str, **variables: str) -> Result:
    """`line` in bash; its `trainer` is the one under test."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    script = f'trainer() {{ {shlex.quote(sys.executable)} -m trainer "$@"; }}; {line}'
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, check=False)
    return Result(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode())


@pytest.mark.parametrize("command", ["--help", "run demo --dry-run", "ps"])
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_failure(command: str, streams: str) -> None:
    # `ps` mentions an engine of this machine that is silent, and does not ask one elsewhere.
    done = shell(f"trainer {command} {streams}", DOCKER_HOST="tcp://127.0.0.1:1")
    assert (done.code, done.err) == (0, "")


def test_what_is_printed_to_a_closed_stream_lands_in_no_file(tmp_path: Path) -> None:
    done = shell(f"trainer init {tmp_path}/made <&- >&- 2>&-")
    assert done.code == 0
    ours = Path(__file__).parents[3]
    assert (tmp_path / "made" / ".gitignore").read_text() == (ours / ".gitignore").read_text()


@pytest.mark.parametrize(
    "command", ["--help", "run demo --dry-run", "run demo --dry-run --json", "ps", "run"]
)
def test_a_full_stdout_is_named(command: str) -> None:
    done = shell(f"trainer {command} > /dev/full")
    assert done.code == (2 if command == "run" else 92)
    assert done.err.startswith(FULL if command != "run" else "Error: Missing argument")
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize(("command", "code"), [("--help", 0), ("nosuch", 2), ("--debug nosuch", 2)])
def test_a_full_stderr_changes_no_exit_code(command: str, code: int) -> None:
    assert shell(f"trainer {command} 2> /dev/full").code == code


def test_a_reader_that_has_gone_ends_the_command_quietly() -> None:
    assert shell("trainer run --help | true; exit ${PIPESTATUS[0]}") == Result(141, "", "")


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_an_encoding_that_lacks_letters_gets_escapes(workspace: Workspace, variables: dict[str, str]) -> None:
    put(workspace.projects / "demo" / "MLproject", MLPROJECT.replace("name: demo", "name: Ž漢"))
    for command in ("run demo --dry-run", "run demo --help", "run demo --dry-run --json"):
        done = shell(f"trainer {command}", **variables)
        assert (done.code, done.err) == (0, "")
    assert r"\u017d\u6f22" in done.out


def test_a_current_folder_that_is_gone_is_named() -> None:
    done = shell("mkdir gone && cd gone && rmdir ../gone && trainer data list")
    said = ["Error: The current folder has been removed.", "Hint:  Go to another one: cd FOLDER"]
    assert (done.code, done.err.splitlines()[-2:]) == (92, said)
