"""What strangers wrote reaches a terminal as text: a project, a server, the name of a file."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer import printable
from trainer.workspace.settings import Workspace

from unit.datasets.pictures import dataset
from unit.helpers import HttpServer, Result, put
from unit.tracking import histories

Trainer = Callable[..., Result]
# Clears the screen, sets the title, goes back to the start of the line, turns the direction of the text.
EVIL = "a\x1b[2J\x1b]0;t\x07\rb\u202ec"
WRITTEN = r"a\x1b[2J\x1b]0;t\x07\x0db\u202ec"  # as YAML writes it between double quotes
SHOWN = r"a\x1b[2J\x1b]0;t\x07\rb\u202ec"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Colours, how a bar is drawn again, and what the terminal itself writes at the end of a line.
OWN = re.compile(
    "\x1b\\[[0-9;]*m|\x1b\\[\\?25[lh]|\r?\x1b\\[(?:2K|1A)|\r(?=\n)|\r(?=[^\x00-\x1f]*\x1b\\[K)|\x1b\\[K"
)


def test_control_characters_are_escapes() -> None:
    assert printable.line(f"{EVIL}\n\té 漢") == SHOWN + r"\n\té 漢"
    assert printable.lines(f"{EVIL}\n\té 漢") == f"{SHOWN}\n\té 漢"


def on_a_terminal(*arguments: str) -> str:
    """All that `trainer` prints where both of its streams are a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 1 << 16):
            pieces.append(piece)
    except OSError:  # how Linux says that the other side is closed
        pass
    process.wait()
    os.close(ours)
    return OWN.sub("", b"".join(pieces).decode())


def project(*, head: str = "", parameters: str = "{}", name: str = "demo", command: str = "a") -> str:
    return (
        f'name: "{name}"\ndocker_env: {{image: trainer/small{head}}}\n'
        f'entry_points: {{main: {{parameters: {parameters}, command: "{command}"}}}}\n'
    )


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        (project(head=f', volumes: ["{WRITTEN}:/x"]'), []),
        (project(head=f', volumes: ["/{WRITTEN}:/x"]'), []),
        (project(head=f', environment: ["{WRITTEN}"]'), []),
        (project(head=f', environment: [[MODE, "{WRITTEN}"]]'), ["--dry-run"]),
        (project(head=f', "{WRITTEN}": 1'), []),
        (project(parameters=f'{{"{WRITTEN}": {{type: int}}}}'), []),
        (project(parameters=f'{{n: {{type: "{WRITTEN}", default: 1}}}}'), ["--dry-run"]),
        (project(parameters=f'{{n: {{type: int, default: "{WRITTEN}"}}}}'), []),
        (project(parameters=f'{{n: {{type: string, choices: ["{WRITTEN}"]}}}}'), ["--n", "z"]),
        (project(parameters=f'{{n: {{type: string, help: "{WRITTEN}", default: "{WRITTEN}"}}}}'), ["--help"]),
        (project(name=WRITTEN), ["--help"]),
        (project(name=WRITTEN), ["-e", "other"]),
        (project(command=WRITTEN), ["--dry-run"]),
        (project(command=WRITTEN), []),
        (project().replace("trainer/small", f'"{WRITTEN}"'), []),
        (project().replace("main", f'"{WRITTEN}"'), []),
        (project().replace("main", f'"{WRITTEN}"').replace('"a"', "1"), []),
        (f'"{WRITTEN}": [', []),
        (f"python_env: \"{WRITTEN}\"\n", []),
    ],
)  # fmt: skip
def test_a_projects_text_cannot_steer_a_terminal(
    workspace: Workspace, said: str, arguments: list[str]
) -> None:
    put(workspace.projects / "demo" / "MLproject", said)
    printed = on_a_terminal("run", "demo", *arguments)
    assert printed
    assert not STEERING.findall(printed), printed


def test_a_files_name_cannot_steer_a_terminal(workspace: Workspace) -> None:
    dataset(workspace.data / EVIL, {f"{EVIL}1": 2, "b": 2})
    put(workspace.data / EVIL / "b" / f"{EVIL}.jpg", "no image")
    put(workspace.projects / EVIL / "MLproject", "name: [")
    for arguments in (
        ("data", "list"), ("data", "validate", EVIL), ("data", "stats", EVIL), ("data", "snapshot", EVIL),
        ("data", "show", EVIL), ("run", "--help"), ("run", EVIL), ("run", "nosuch"), ("--debug", "run", EVIL),
    ):  # fmt: skip
        printed = on_a_terminal(*arguments)
        assert printed
        assert not STEERING.findall(printed), (arguments, printed)


@pytest.mark.usefixtures("workspace")
def test_a_servers_text_cannot_steer_a_terminal(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    evil = histories.run(
        "aa1", EVIL, metrics={EVIL: 1.0}, params={EVIL: EVIL}, tags={EVIL: EVIL, "trainer.end": EVIL},
        inputs={EVIL: EVIL}, status="FAILED",
    )  # fmt: skip
    for arguments in (
        ("runs",), ("runs", "--columns", EVIL), ("show", "aa1"), ("compare", "aa1", "aa1"),
        ("reproduce", "aa1"), ("resume", "aa1"), ("logs", "aa1"),
    ):  # fmt: skip
        histories.has(http_server, [evil], e7=EVIL)
        printed = on_a_terminal(*arguments)
        assert printed
        assert not STEERING.findall(printed), (arguments, printed)


def test_what_another_program_reads_stays_as_it_is(trainer: Trainer, workspace: Workspace) -> None:
    folder = workspace.root / "a\u202eb"
    assert f"A workspace: {folder}" in trainer("init", str(folder)).out
    done = trainer("run", str(Path(folder) / "no\x1b[2Jthing"))
    assert STEERING.findall(done.err) == []
    assert r"a\u202eb/no\x1b[2Jthing" in done.err
