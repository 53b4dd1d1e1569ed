"""What a long command does, and what a run prints: on one screen, or to a terminal and a file."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Self

from trainer.cli import diagnostics
from trainer.cli.live.line import NAMED_AGAIN_S, Doing, Line, PlainLines, RedrawnLine, columns, redraws
from trainer.cli.live.outflow import BackgroundWriter
from trainer.cli.output import style, tell
from trainer.cli.streams import drawn_on, escaped

if TYPE_CHECKING:
    from trainer.tracking.client import Run


class Progress:
    """Shows what a long command does, on stderr: one live line in a terminal, plain lines elsewhere.

    What a run prints goes to `output`, which is stdout. `plain` shows all that the steps print, too.
    """

    _current: ClassVar[Progress | None] = None
    """The one that is shown; there is one stderr."""

    def __init__(self, output: BinaryIO | None = None, *, plain: bool = False) -> None:
        stream = output or sys.stdout.buffer
        self._plain = plain or os.environ.get("BUILDKIT_PROGRESS") == "plain"
        self._doing: Doing | None = None
        self._output_at = 0.0
        self._at_line_start = True
        self._live = redraws(sys.stderr) and not self._plain and not diagnostics.are_shown()
        line: Line
        if self._live:
            line = self._redrawn()
        else:
            named_after = (NAMED_AGAIN_S,) if self._plain else ()
            line = PlainLines(lambda: self._doing, lambda: self._output_at, *named_after)
        self._screen = BackgroundWriter(drawn_on(sys.stderr).buffer, line)
        # On one screen the two are written by one thread: what is printed takes the line's place.
        is_one = self._live and stream.isatty()
        self._output = self._screen if is_one else BackgroundWriter(stream)

    def _redrawn(self) -> Line:
        """What a terminal shows below what is printed."""
        return RedrawnLine(lambda: self._doing, lambda: columns(sys.stderr))

    @classmethod
    def is_shown(cls) -> bool:
        """Whether a command shows what it does."""
        return cls._current is not None

    def __enter__(self) -> Self:
        """Begin."""
        Progress._current = self
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave a clean line. Waits for a reader that is slow, unless the command was stopped."""
        Progress._current = None
        self._doing = None
        if not self._at_line_start:
            self._write(b"\n")
        wait = kind is None or issubclass(kind, Exception)
        for writer in {self._output, self._screen}:
            writer.close(wait=wait)
        if self._output.trouble:
            tell(f"Not all output could be written to stdout: {self._output.trouble.strerror}.")

    def step(self, text: str) -> None:
        """What is being done now; a clock starts."""
        if self._plain:
            self._say(f"{text} …")
        now = time.monotonic()
        self._do(Doing(text, now, part_since=now))

    def part(self, text: str, count: str = "") -> None:
        """The part of the step that is at work, and how far that is. The clock of the step goes on."""
        doing, now = self._doing, time.monotonic()
        if doing is None:
            return
        since = doing.part_since if text == doing.part else now
        self._do(replace(doing, part=text, part_since=since, count=count))

    @staticmethod
    @contextlib.contextmanager
    def waiting(text: str) -> Iterator[None]:
        """Within: that is shown as what is being done, beside whatever the command shows."""
        shown = Progress._current
        if shown is None:
            with Progress() as progress:
                progress.step(text)
                yield
            return
        before = shown._doing
        shown.step(text)
        yield
        shown._doing = before

    def _do(self, doing: Doing) -> None:
        self._doing = doing
        self._screen.redraw()

    def detail(self, line: str) -> None:
        """A line of the output of the step, for who asked to see all of it."""
        if self._plain and line.strip():
            self._say(line)

    def started(self, run: Run) -> None:
        """The run exists."""
        self._say(f"{style('Run', bold=True)} {run.name} ({run.id})")
        if run.url:
            self._say(style(run.url, fg="blue", underline=True))
        self.step("Running")

    def output(self, piece: bytes) -> None:
        """A piece of the run's own output, as it is."""
        if piece:
            self._write(piece)

    def remark(self, text: str) -> None:
        """Lines that stay."""
        self._say(text)

    def _say(self, text: str) -> None:
        self._output_at = time.monotonic()
        if self._live:
            self._screen.write(f"{escaped(text)}\n".encode(sys.stderr.encoding, "backslashreplace"))
        else:
            tell(text)

    def _write(self, piece: bytes) -> None:
        self._output_at = time.monotonic()
        self._output.write(piece)
        self._at_line_start = piece.endswith(b"\n")

    def stop(self) -> None:
        """Take the live line away; a result follows."""
        self._doing = None
        if self._live:
            self._screen.redraw()
            self._screen.settle()
