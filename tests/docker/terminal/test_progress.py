"""A run is never silent: what is written to a terminal and to a pipe, by its time stamps."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import PROJECTS, Site, clean_environment

SILENT_S = 2
START_S = 10
"""Until Python has started, on a machine that is busy."""
COLUMNS = 80
SCRIPT = [
    "epoch 1/2 is over",
    "epoch 2/2 is over",
    "half a line and its end",
]


@dataclass(frozen=True)
class Piece:
    """What was written, and when."""

    at: float
    text: str


@pytest.fixture
def slow(site: Site) -> Iterator[Site]:
    folder = site.root / "train_code" / "slow"
    shutil.copytree(PROJECTS / "slow", folder)
    assert site.trainer("build-image", "sklearn").code == 0
    yield site
    shutil.rmtree(folder)


def environment() -> dict[str, str]:
    """Of somebody at a terminal."""
    return {**clean_environment(), "TERM": "xterm", "CI": "", "NO_COLOR": ""}


def in_terminal(site: Site, *arguments: str, until: str | None = None) -> tuple[int, list[Piece]]:
    """Run `trainer ARGUMENTS` in a terminal; Ctrl-C is pressed when `until`, a pattern, has been shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(site.root)
        os.execve(sys.executable, [sys.executable, "-m", "trainer", *arguments], environment())
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    pieces = [Piece(time.monotonic(), "")]
    with contextlib.suppress(OSError):  # how the end of a terminal is told
        while piece := os.read(terminal, 1 << 16):
            pieces.append(Piece(time.monotonic(), piece.decode()))
            if until and re.search(until, "".join(piece.text for piece in pieces)):
                os.write(terminal, b"\x03")
                until = None
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), pieces


def gaps(pieces: list[Piece]) -> list[tuple[float, str]]:
    """Seconds of silence, and what was written before."""
    return [(later.at - piece.at, piece.text) for piece, later in itertools.pairwise(pieces)]


def drawn(pieces: list[Piece]) -> list[str]:
    """Every line that was on the screen at some time."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", "".join(piece.text for piece in pieces))
    return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def test_a_terminal_shows_what_a_run_does_and_for_how_long(slow: Site, tmp_path: Path) -> None:
    code, pieces = in_terminal(slow, "run", "slow")
    lines = drawn(pieces)
    assert code == 0, lines
    (start, _), *silences = gaps(pieces)
    assert start < START_S
    assert max(silences) < (SILENT_S, ""), max(silences)
    shown = "\n".join(lines)
    assert re.search(r"^\S Running  importing MLflow  0:0\d$", shown, re.MULTILINE)
    assert re.search(r"^\S Running  0:0\d$", shown, re.MULTILINE), "the script says nothing"
    assert re.search(r"^\S Running  fit  epoch 1/2  \d/3 steps  \d\.\d/s.*  0:\d\d$", shown, re.MULTILINE)
    assert re.search(r"epoch 2/2  \d/3 steps  \d\.\d/s  0:0\d left  0:\d\d$", shown, re.MULTILINE)
    assert re.search(r"^\S Running  fit  epoch 1/2  validation  0:\d\d$", shown, re.MULTILINE)
    wide = [line for line in lines if len(line) > COLUMNS and not line.startswith("http://")]
    assert wide == []
    # What stays is as if there had been no line.
    assert [line for line in lines if line in SCRIPT] == SCRIPT
    log = slow.log(slow.runs()[0].info.run_id, tmp_path)
    assert [line for line in log.splitlines() if not line.startswith("fit ")] == SCRIPT


def test_a_pipe_gets_a_line_for_each_part_and_the_log_none(slow: Site, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", "run", "slow"], cwd=slow.root, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout
    pieces = [Piece(time.monotonic(), "")]
    pieces += [Piece(time.monotonic(), line.rstrip("\n")) for line in process.stdout]
    assert process.wait() == 0, pieces
    assert gaps(pieces)[0][0] < START_S
    lines = [piece.text for piece in pieces]
    assert not any("\x1b" in line or "\r" in line for line in lines)
    named = [line for line in lines if line.startswith("Running")]
    assert named[0] in ("Running", "Running: importing MLflow")
    assert named[-1] == "Running: fit"
    assert len(named) == len(set(named)), "each is named once"
    # Longer silence is announced, and in a training there is a line a minute.
    for seconds, before in gaps(pieces)[1:]:
        assert seconds < 60, before
        assert seconds < SILENT_S or not before.startswith(("Run ", "http://")), before
    log = slow.log(slow.runs()[0].info.run_id, tmp_path).splitlines()
    assert [line for line in lines if line in log] == log
    assert "\x1b" not in "".join(log)


def test_ctrl_c_stops_a_run_whose_clock_is_shown(slow: Site) -> None:
    code, pieces = in_terminal(slow, "run", "slow", until=r"Running[^\r\n]*  0:0[3-9]")
    assert code == 128 + signal.SIGINT
    lines = drawn(pieces)
    assert any("Stopping the run" in line for line in lines)
    assert "Error: Stopped by SIGINT." in lines
    # A long name of the run takes the command to a line of its own.
    hint = " ".join(line.strip() for line in lines[lines.index("Error: Stopped by SIGINT.") + 1 :])
    assert "to go on with this one: trainer resume " in hint
    assert slow.runs()[0].info.status == "KILLED"
