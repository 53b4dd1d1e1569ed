"""`trainer secrets`: no value is an argument, is echoed, or is shown."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace, find

from unit.helpers import Result, git, put

Trainer = Callable[..., Result]
CANARY = "canary-7f3a 'x' #y"


@pytest.fixture(autouse=True)
def site(workspace: Workspace) -> Workspace:
    """The workspace in git, with a project that needs a secret."""
    git(workspace.root, "init", "--quiet")
    put(workspace.root / ".gitignore", "secrets.env\n.trainer/\n")
    mlproject = (workspace.projects / "demo" / "MLproject").read_text()
    put(workspace.projects / "keyed" / "MLproject", mlproject.replace("[[MODE, fast]]", "[API_KEY, [A, b]]"))
    return workspace


def set_piped(value: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "trainer", "secrets", "set", *arguments]
    return subprocess.run(command, input=value, capture_output=True, check=False)


def test_a_value_from_a_pipe_makes_a_file_for_its_owner_alone(site: Workspace) -> None:
    done = set_piped(CANARY.encode() + b"\n", "API_KEY")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"Set API_KEY in {site.secrets_file}\n"
    assert secrets.load(site).values == {"API_KEY": CANARY}
    assert site.secrets_file.stat().st_mode & 0o777 == 0o600


def test_a_value_that_is_typed_is_not_echoed(site: Workspace) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", "secrets", "set", "API_KEY"],
        preexec_fn=lambda: os.login_tty(theirs),  # a terminal of its own: getpass opens /dev/tty
    )
    os.close(theirs)
    shown = b""
    while b"API_KEY: " not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, CANARY.encode() + b"\n")
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while piece := os.read(ours, 1000):
            shown += piece
    os.close(ours)
    assert process.wait() == 0
    assert shown.decode().split() == f"Value of API_KEY: Set API_KEY in {site.secrets_file}".split()
    assert secrets.load(site).values == {"API_KEY": CANARY}


def test_every_other_line_stays(site: Workspace) -> None:
    put(site.secrets_file, "# mine\nA=first # one\nB=second\n").chmod(0o600)
    assert set_piped(b"changed", "B").stdout.startswith(b"Replaced B")
    assert site.secrets_file.read_text() == "# mine\nA=first # one\nB='changed'\n"


def test_a_short_value_is_set_with_a_warning(site: Workspace) -> None:
    done = set_piped(b"abc", "PIN")
    said = (
        "Its value cannot be masked in output: it has fewer than 5 characters, as many ordinary words have."
    )
    assert (done.returncode, done.stderr.decode()) == (0, f"{said}\n")
    assert secrets.load(site).values == {"PIN": "abc"}


def test_the_check_warns_of_a_short_value(trainer: Trainer, site: Workspace) -> None:
    put(site.secrets_file, f"API_KEY={CANARY}\nPIN=abc\nMLFLOW_TRACKING_USERNAME=me\n").chmod(0o600)
    done = trainer("secrets", "check")
    assert done.code == 0
    assert [line for line in done.out.splitlines() if "PIN" in line or "USERNAME" in line] == [
        "! PIN: its value cannot be masked in output: "
        "it has fewer than 5 characters, as many ordinary words have."
    ]


@pytest.mark.parametrize("value", [b"", b"\n", b"\xff\n", "key".encode("utf-16-le")])
def test_a_value_that_is_none_is_refused(site: Workspace, value: bytes) -> None:
    done = set_piped(value, "API_KEY")
    assert done.returncode == 2
    assert b"Standard input has no value" in done.stderr
    assert not site.secrets_file.exists()


def test_a_value_in_the_place_of_the_name_is_not_repeated(trainer: Trainer, site: Workspace) -> None:
    done = trainer("secrets", "set", f"API_KEY={CANARY}")
    assert done.code == 2
    assert CANARY not in done.err
    assert not site.secrets_file.exists()


def test_where_git_would_commit_it_nothing_is_asked_or_written(trainer: Trainer, site: Workspace) -> None:
    (site.root / ".gitignore").unlink()
    done = trainer("secrets", "set", "API_KEY")
    assert done.code == 81
    assert done.err.splitlines()[1] == f"Hint:  echo secrets.env >> {site.root / '.gitignore'}"
    assert not site.secrets_file.exists()


def test_a_dry_run_asks_for_nothing_and_changes_nothing(trainer: Trainer, site: Workspace) -> None:
    assert trainer("secrets", "set", "NEW", "--dry-run").out == f"Would set NEW in {site.secrets_file}\n"
    assert not site.secrets_file.exists()
    put(site.secrets_file, f"A={CANARY!r}\n").chmod(0o600)
    assert "Would remove A" in trainer("secrets", "unset", "A", "--dry-run").out
    assert "Would replace A" in trainer("secrets", "set", "A", "--dry-run").out
    assert secrets.load(site).values.keys() == {"A"}


def test_a_secret_is_removed_and_a_second_time_there_is_nothing_to_do(
    trainer: Trainer, site: Workspace
) -> None:
    put(site.secrets_file, "# mine\nA=first\nB=second\n").chmod(0o600)
    assert trainer("secrets", "unset", "A").out == f"Removed A from {site.secrets_file}\n"
    assert site.secrets_file.read_text() == "# mine\nB=second\n"
    again = trainer("secrets", "unset", "A")
    assert (again.code, again.out) == (0, "")
    assert again.err == "secrets.env has no such name: there is nothing to remove.\n"


def test_the_list_has_names_and_who_needs_them_and_no_value(trainer: Trainer, site: Workspace) -> None:
    put(site.secrets_file, f'API_KEY="{CANARY}"\nUNUSED="{CANARY}"\n').chmod(0o600)
    done = trainer("secrets", "list")
    assert [line.split() for line in done.out.splitlines()] == [
        ["NAME", "NEEDED", "BY"], ["API_KEY", "keyed"], ["UNUSED"],
    ]  # fmt: skip
    assert [line for line in done.out.splitlines() if line.endswith(" ")] == []
    said = trainer("secrets", "list", "--json")
    assert json.loads(said.out) == [
        {"name": "API_KEY", "needed_by": ["keyed"]}, {"name": "UNUSED", "needed_by": []},
    ]  # fmt: skip
    assert "canary" not in done.out + said.out


def test_without_secrets_the_list_says_who_would_need_some(trainer: Trainer, site: Workspace) -> None:
    assert not site.secrets_file.exists()
    assert trainer("secrets", "list").out == "No secrets are set; needed by projects: API_KEY.\n"
    assert trainer("secrets", "list", "--json").out == "[]\n"


def test_the_check_names_what_a_project_lacks(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    done = trainer("secrets", "check")
    assert done.code == 89
    assert done.out.splitlines() == [
        "✓ secrets.env: not there yet; git does not commit it",
        "✗ API_KEY: not set, needed by keyed",
        "    fix: trainer secrets set API_KEY",
    ]
    monkeypatch.setenv("API_KEY", CANARY)
    assert "✓ API_KEY: in the environment, needed by keyed" in trainer("secrets", "check").out
    monkeypatch.delenv("API_KEY")
    set_piped(CANARY.encode(), "API_KEY")
    done = trainer("secrets", "check")
    assert (done.code, done.out.splitlines()) == (0, [
        "✓ secrets.env: 1 secret, for you alone; git does not commit it",
        "✓ API_KEY: in secrets.env, needed by keyed",
    ])  # fmt: skip


def test_the_check_names_every_leak(trainer: Trainer, site: Workspace) -> None:
    put(site.secrets_file, f'API_KEY="{CANARY}"\n').chmod(0o644)
    put(site.root / ".gitignore", "")
    done = trainer("secrets", "check", "--json")
    assert done.code == 89
    results = {check["found"]: check["fix"] for check in json.loads(done.out) if check["status"] == "failure"}
    assert results == {
        f"git would commit {site.secrets_file}: no .gitignore names it.":
            f"echo secrets.env >> {site.root / '.gitignore'}",
        f"Other users of this machine can read {site.secrets_file}.": f"chmod 600 {site.secrets_file}",
    }  # fmt: skip
    assert "canary" not in done.out + done.err


def test_the_check_says_when_an_earlier_commit_has_the_file(trainer: Trainer, site: Workspace) -> None:
    put(site.secrets_file, f'API_KEY="{CANARY}"\n').chmod(0o600)
    git(site.root, "add", "--force", "secrets.env")
    git(site.root, "commit", "--quiet", "-m", "All of it")
    commit = git(site.root, "log", "-1", "--format=%h of %as").strip()
    git(site.root, "rm", "--quiet", "--cached", "secrets.env")
    git(site.root, "commit", "--quiet", "-m", "Not that")
    done = trainer("secrets", "check")
    assert done.code == 0
    assert f"! secrets.env: an earlier commit has it: {commit}\n" in done.out
    assert "git filter-repo --invert-paths --path secrets.env" in done.out
    assert "✓ secrets.env: 1 secret, for you alone; git does not commit it" in done.out


@pytest.mark.parametrize("command", [["secrets", "check"], ["secrets", "list"], ["run", "keyed"], ["runs"]])
def test_a_pipe_in_the_place_of_the_file_keeps_no_command_waiting(
    trainer: Trainer, site: Workspace, command: list[str]
) -> None:
    site.secrets_file.unlink(missing_ok=True)
    os.mkfifo(site.secrets_file, 0o600)
    done = trainer(*command)
    assert done.code == (89 if command[-1] == "check" else 81)
    assert f"{site.secrets_file} is a named pipe, and has to be a file." in done.out + done.err
    assert "bug" not in done.err


def test_a_project_in_disorder_keeps_nothing_from_being_checked(trainer: Trainer, site: Workspace) -> None:
    put(site.projects / "broken" / "MLproject", "- what\n")
    assert "✗ API_KEY: not set, needed by keyed" in trainer("secrets", "check").out


@pytest.mark.parametrize(
    ("words", "offered"),
    [("trainer secrets set ''", ["API_KEY", "OTHER"]), ("trainer secrets unset ''", ["OTHER"])],
)
def test_names_are_completed(site: Workspace, words: str, offered: list[str]) -> None:
    put(site.secrets_file, "OTHER=long enough\n").chmod(0o600)
    environment = {"_TRAINER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", "from trainer.cli.main import main; main()"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == [f"plain,{name}" for name in offered]
    assert find(Path.cwd()) == site
