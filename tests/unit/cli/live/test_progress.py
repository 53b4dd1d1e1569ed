"""Progress of a command on a real terminal, and on a pipe."""

import contextlib
import io
import os
import pty
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from trainer.cli.live.progress import Progress
from trainer.tracking.client import Run

from unit.cli.live.screen import Screen


@dataclass
class Terminal:
    """A terminal that stdout and stderr go to, and what was written to it."""

    written: bytearray = field(default_factory=bytearray)

    def shows(self, text: str, within_s: float = 5) -> list[str]:
        """Its lines as soon as one of them has that text."""
        deadline = time.monotonic() + within_s
        while text not in "\n".join(lines := self.lines()):
            assert time.monotonic() < deadline, lines
            time.sleep(0.02)
        return lines

    def lines(self) -> list[str]:
        screen = Screen()
        screen.feed(bytes(self.written))
        return screen.lines


@contextlib.contextmanager
def on_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[Terminal]:
    """Within: stdout and stderr are a terminal. No fixture, before which pytest has its own streams."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BUILDKIT_PROGRESS", raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    here, there = pty.openpty()
    terminal = Terminal()

    def read() -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(here, 1 << 16):
                terminal.written += piece

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with open(there, "wb", closefd=False) as out, open(there, "wb", closefd=False) as err:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8"))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, "utf-8"))
        try:
            yield terminal
        finally:
            monkeypatch.undo()
    os.close(there)
    reader.join(5)
    os.close(here)


RUN = Run("abc", "1", "hen-1", "RUNNING", "mlflow-artifacts:/1", url="http://127.0.0.1/run")


@pytest.mark.timeout(30)
def test_a_terminal_has_one_line_and_nothing_of_it_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with on_terminal(monkeypatch) as terminal, Progress() as progress:
        progress.step("Building the image tabby")
        progress.part("4/7 installing the packages")
        progress.detail("#12 0.312 Get:1 http://debian bookworm InRelease")
        assert len(terminal.shows("tabby  4/7 installing the packages  0:0")) == 1
        terminal.shows("0:01")
        progress.remark("Built tabby in 1 s.")
        lines = terminal.shows("Built tabby")
        assert lines[0] == "Built tabby in 1 s."
    terminal.shows("Built tabby")
    assert terminal.lines() == ["Built tabby in 1 s.", ""]
    assert b"Get:1" not in terminal.written


@pytest.mark.timeout(30)
def test_what_a_run_prints_stands_above_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_terminal(monkeypatch) as terminal, Progress() as progress:
        progress.started(RUN)
        terminal.shows("Running  0:00")
        progress.output(b"epoch 1\nepoch")
        terminal.shows("epoch")
        progress.output(b" 2\n")
        assert terminal.shows("Running")[:4] == ["Run hen-1 (abc)", RUN.url, "epoch 1", "epoch 2"]
    assert terminal.lines()[2:] == ["epoch 1", "epoch 2", ""]


@pytest.mark.timeout(30)
def test_a_result_follows_where_the_line_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_terminal(monkeypatch) as terminal, Progress() as progress:
        progress.step("Comparing")
        terminal.shows("Comparing  0:00")
        progress.stop()
        sys.stdout.write("the result\n")
        sys.stdout.flush()
        assert terminal.shows("the result") == ["the result", ""]


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("name", "value"), [("TERM", "dumb"), ("CI", "true"), ("BUILDKIT_PROGRESS", "plain")]
)
def test_a_terminal_that_nobody_looks_at_gets_whole_lines(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with on_terminal(monkeypatch, **{name: value}) as terminal, Progress() as progress:
        progress.step("Building the image tabby")
        terminal.shows("Building the image tabby")
    assert b"\x1b" not in terminal.written


def test_in_a_pipe_a_step_that_takes_its_time_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.step("Connecting to the tracking server")
        progress.step("Building the image tabby")
        progress.detail("#12 output of BuildKit")
        time.sleep(1)
        progress.step("Starting the run")
    assert capsys.readouterr().err == "Building the image tabby\n"


def test_all_output_of_the_steps_is_shown_to_who_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(plain=True) as progress:
        progress.step("Building the image tabby")
        progress.detail("#12 output of BuildKit")
    assert capsys.readouterr().err == "Building the image tabby …\n#12 output of BuildKit\n"


def test_what_is_waited_for_is_said_by_any_command(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress.waiting("Starting the tracking server"):
        time.sleep(1)
    assert capsys.readouterr().err == "Starting the tracking server\n"


@pytest.mark.timeout(30)
def test_what_is_waited_for_meanwhile_takes_the_place_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_terminal(monkeypatch) as terminal, Progress() as progress:
        progress.step("Connecting")
        terminal.shows("Connecting  0:00")
        with Progress.waiting("Starting the tracking server"):
            assert len(terminal.shows("Starting the tracking server  0:00")) == 1
        assert len(terminal.shows("Connecting  0:0")) == 1


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_there_are_no_colours_where_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with on_terminal(monkeypatch, **{name: value}) as terminal, Progress() as progress:
        progress.started(RUN)
        terminal.shows(RUN.url)
    assert b"\x1b[1m" not in terminal.written
    assert b"\x1b[4m" not in terminal.written
