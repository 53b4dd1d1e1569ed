"""`trainer secrets import`: what other files set is taken over, and nothing is executed or shown."""

import shlex
from collections.abc import Callable

import pytest
from trainer.masking import SHORTEST_MASKED
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

from unit.helpers import Result, git, put

Trainer = Callable[..., Result]
SHELL = """\
#!/bin/sh
# keys
set -e
export API_KEY='it is'
export TOKEN="a b # c"
PLAIN=x=y   # of the old system
echo done
"""
POWERSHELL = """\
# keys
$env:API_KEY = "say `"hi`" `$5"
$Env:TOKEN='it''s'  # twice
[System.Environment]::SetEnvironmentVariable('PLAIN', "x=y", 'User')
Set-Item -Path env:ITEM -Value "z"
Write-Host "done"
"""
FROM_POWERSHELL = {"API_KEY": 'say "hi" $5', "TOKEN": "it's", "PLAIN": "x=y", "ITEM": "z"}
BATCH = """\
@echo off
rem keys
set API_KEY=a b
set "TOKEN=c & d"
setx PLAIN "e f" /m
call other.bat
"""
FROM_BATCH = {"API_KEY": "a b", "TOKEN": "c & d", "PLAIN": "e f"}


@pytest.fixture(autouse=True)
def site(workspace: Workspace) -> Workspace:
    """The workspace in git."""
    git(workspace.root, "init", "--quiet")
    put(workspace.root / ".gitignore", "secrets.env\n.trainer/\n")
    return workspace


@pytest.mark.parametrize(
    ("name", "content", "values", "left_out"),
    [
        (".env", b"API_KEY=a$b\nTOKEN='c d'\n", {"API_KEY": "a$b", "TOKEN": "c d"}, None),
        (".env", b'\xef\xbb\xbfAPI_KEY="one\ntwo"\r\n', {"API_KEY": "one\ntwo"}, None),
        ("keys.sh", SHELL.encode(), {"API_KEY": "it is", "TOKEN": "a b # c", "PLAIN": "x=y"}, "lines 3, 7"),
        ("secrets.ps1", POWERSHELL.encode(), FROM_POWERSHELL, "line 6"),
        ("secrets.txt", POWERSHELL.encode("utf-16"), FROM_POWERSHELL, "line 6"),
        ("secrets.bat", BATCH.replace("\n", "\r\n").encode(), FROM_BATCH, "line 6"),
    ],
)
def test_what_a_file_sets_is_imported(
    trainer: Trainer, site: Workspace, name: str, content: bytes, values: dict[str, str], left_out: str | None
) -> None:
    (site.root / name).write_bytes(content)
    dry = trainer("secrets", "import", name, "--dry-run")
    assert dry.out.splitlines() == [f"Would set {key}" for key in values]
    assert not site.secrets_file.exists()
    done = trainer("secrets", "import", name)
    assert (done.code, done.out.splitlines()) == (0, [f"Set {key}" for key in values]), done.err
    assert secrets.load(site).values == values
    assert site.secrets_file.stat().st_mode & 0o777 == 0o600
    notes = [f"Not read: {left_out}"] if left_out else []
    last = f"{name} still holds the values: remove it, or keep it out of git."
    notes += [f"The value of {key} cannot be masked in output: {secrets.TOO_SHORT}"
              for key, value in values.items() if len(value) < SHORTEST_MASKED]  # fmt: skip
    assert done.err.splitlines() == [*notes, last]
    again = trainer("secrets", "import", name)
    assert (again.code, again.out) == (0, "")
    assert again.err.startswith(f"Unchanged: {', '.join(values)}\n")
    shown = done.out + done.err + again.err
    assert not any(value in shown for value in values.values())


def test_a_value_that_is_there_is_replaced_only_on_demand(trainer: Trainer, site: Workspace) -> None:
    put(site.secrets_file, "# mine\nAPI_KEY=old-value\n").chmod(0o600)
    put(site.root / "my keys.env", "API_KEY=new-value\nTOKEN=token-value\n")
    refused = trainer("secrets", "import", "my keys.env")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "Error: secrets.env has another value of API_KEY.\n"
        "Hint:  To take those of the file: trainer secrets import 'my keys.env' --replace\n"
    )
    assert secrets.load(site).values == {"API_KEY": "old-value"}
    done = trainer(*shlex.split(refused.err.partition("file: trainer ")[2]))
    assert done.out == "Replaced API_KEY\nSet TOKEN\n"
    assert site.secrets_file.read_text() == "# mine\nAPI_KEY='new-value'\nTOKEN='token-value'\n"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.sh", "A=1\nexport B=$(cat /secret-file)\n", 2),
        ("a.sh", 'B="$HOME/secret"\n', 1),
        ("a.sh", "export A=secret-1 B=secret-2\n", 1),
        ("a.sh", "A=secret-1; B=secret-2\n", 1),
        ("a.sh", "A=1\nexport B=secret && echo\n", 2),
        ("a.sh", "B=secret python train.py\n", 1),
        ("a.sh", "B=a\\ secret\n", 1),
        ("a.sh", 'B="a\\$secret"\n', 1),
        (".env", "A=1\nB=${A}/secret\n", 2),
        ("a.ps1", '$env:A = "x"\n\n$env:B = "$env:A-secret"\n', 3),
        ("a.cmd", "set B=%A%-secret\n", 1),
    ],
)
def test_a_value_that_the_shell_would_compute_is_not_imported(
    trainer: Trainer, site: Workspace, name: str, content: str, line: int
) -> None:
    put(site.root / name, content)
    done = trainer("secrets", "import", name)
    others = {"A": content[2:3] if name != "a.ps1" else "x"} if line > 1 else {}
    note = f"line {line}"
    assert (done.code, done.out) == ((0, "Set A\n") if others else (2, "")), done.err
    assert note in done.err
    assert "secret" not in done.err.replace("trainer secrets set", "")
    assert secrets.read(site).values == others


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.env", None, "There is no file none.env."),
        ("binary", b"\xff\xfe\x00\xd8\x00", "binary is not text in UTF-8 or UTF-16."),
        ("empty", b"# nothing\n", "empty sets no variable."),
        ("folder", b"", "folder is a folder."),
        ("notes.txt", b"just words\n", "notes.txt sets no variable."),
    ],
)
def test_a_file_that_has_no_variables(
    trainer: Trainer, site: Workspace, name: str, content: bytes | None, message: str
) -> None:
    if name == "folder":
        (site.root / name).mkdir()
    elif content is not None:
        (site.root / name).write_bytes(content)
    done = trainer("secrets", "import", name)
    assert done.code in (2, 81)
    assert done.err.splitlines()[0] == f"Error: {message}"
    assert len(done.err.splitlines()) == 2


def test_a_variable_whose_last_value_is_computed_is_not_set(trainer: Trainer, site: Workspace) -> None:
    put(site.root / "a.sh", "A=1\nB=$(date)\nB=2\nC=\nA=$(date)\n")
    done = trainer("secrets", "import", "a.sh")
    assert (done.code, done.out) == (0, "Set B\n")
    assert done.err.startswith(
        "Not set, since they are empty: C\n"
        "Not set, since a shell would have to compute it: A (line 5). Set it: trainer secrets set A\n"
    )
    assert secrets.load(site).values == {"B": "2"}
    put(site.root / "a.sh", "A=$(date)\nB=2\nC=`date`\n")
    assert (
        "Not set, since a shell would have to compute them: A (line 1), C (line 3). "
        "Set each: trainer secrets set NAME\n"
    ) in trainer("secrets", "import", "a.sh").err


@pytest.mark.parametrize(
    ("uri", "note"),
    [
        ("https://me:pass-word@lab.example:5000/", "Runs report to https://lab.example:5000 from now on."),
        ("file:///pass-word", "MLFLOW_TRACKING_URI is not the http(s) address of a server: "),
        (
            "https://me:pass-word/1@lab.example",
            "MLFLOW_TRACKING_URI is not the http(s) address of a server: ",
        ),
        (
            "https://me:1?pass-word@lab.example",
            "MLFLOW_TRACKING_URI is not the http(s) address of a server: ",
        ),
    ],
)
def test_an_imported_tracking_server_is_named(
    trainer: Trainer, site: Workspace, monkeypatch: pytest.MonkeyPatch, uri: str, note: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    put(site.root / ".env", f"MLFLOW_TRACKING_URI={uri}\n")
    assert note not in trainer("secrets", "import", ".env", "--dry-run").err
    done = trainer("secrets", "import", ".env")
    assert done.code == 0
    assert done.err.splitlines()[0].startswith(note)
    assert "environment" not in done.err
    assert "pass-word" not in done.err
    put(site.secrets_file, "").chmod(0o600)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    is_said = "of the environment comes first" in trainer("secrets", "import", ".env").err
    assert is_said == note.startswith("Runs report")
