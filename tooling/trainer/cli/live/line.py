"""What a command is doing now: a line that is redrawn in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from trainer import printable

_FRAME_S = 0.1
_NAMED_AFTER_S = 0.5
"""What is over sooner is not worth a line of a log."""
NAMED_AGAIN_S = 60
_UNFINISHED_S = 1
"""For so long, a line that the run's script has begun stays the last one on the screen."""
_LONGEST_TAIL = 4096
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_ERASED = b"\r\x1b[K"


@dataclass(frozen=True)
class Doing:
    """A step, the part of it that is at work, how far that is, and since when (`time.monotonic`)."""

    step: str
    since: float
    part: str = ""
    part_since: float = 0
    count: str = ""


class Line(Protocol):
    """What is written beside a command's output, as bytes for the one stream that both go to."""

    frame_s: float
    """How often it may look different."""

    def draw(self) -> bytes:
        """To be written now that there is no output to be written; nothing where it is up to date."""

    def with_output(self, piece: bytes) -> bytes:
        """A piece of output, with what makes room for it on the screen."""


def redraws(stream: TextIO) -> bool:
    """Whether a line on the stream can be redrawn, and somebody looks at it, which nobody does in CI."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def columns(stream: TextIO) -> int:
    """Of the terminal; 80 where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class RedrawnLine:
    """One line, the last on the screen, with a clock; it never wraps.

    `drawn_after_s` is what the step has to take.
    """

    frame_s = _FRAME_S

    def __init__(
        self,
        doing: Callable[[], Doing | None],
        columns: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        drawn_after_s: float = 0,
    ) -> None:
        self._doing, self._columns, self._clock = doing, columns, clock
        self._drawn_after_s = drawn_after_s
        self._drawn = b""
        self._tail = b""
        self._output_at = 0.0

    def draw(self) -> bytes:
        """Redrawn, or erased where nothing is being done."""
        doing, now = self._doing(), self._clock()
        if doing is None or now - doing.since < self._drawn_after_s:
            return self._erase()
        if self._tail and now - self._output_at < _UNFINISHED_S:
            return b""
        text = fitted(doing, now, self._columns() - 1).encode(sys.stderr.encoding or "utf-8", "replace")
        if text == self._drawn:
            return b""
        below = b"\r\n" if self._tail and not self._drawn else b"\r"
        self._drawn = text
        return below + text + b"\x1b[K"

    def with_output(self, piece: bytes) -> bytes:
        """In the place of the line, which is drawn below it again."""
        erased = self._erase()
        self._output_at = self._clock()
        self._tail = (self._tail + piece).rpartition(b"\n")[2][-_LONGEST_TAIL:]
        return erased + piece

    def _erase(self) -> bytes:
        if not self._drawn:
            return b""
        self._drawn = b""
        if not self._tail:
            return _ERASED
        # Back to where the output's unfinished line ends.
        shown = _ESCAPE_SEQUENCE.sub("", self._tail.decode(errors="replace").rpartition("\r")[2])
        return _ERASED + b"\x1b[A\x1b[%dG" % (_width(shown) % max(self._columns(), 1) + 1)


class PlainLines:
    """A line for each part that takes its time, and one a minute where nothing else is printed.

    `output_at` is when something else was printed last. `named_after_s` is what a part has to take.
    """

    frame_s = _FRAME_S

    def __init__(
        self,
        doing: Callable[[], Doing | None],
        output_at: Callable[[], float],
        named_after_s: float = _NAMED_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._doing, self._output_at, self._named_after_s = doing, output_at, named_after_s
        self._clock = clock
        self._named: tuple[str, str] | None = None
        self._named_at = 0.0

    def draw(self) -> bytes:
        """The line that is due."""
        doing, now = self._doing(), self._clock()
        if doing is None:
            return b""
        name = (doing.step, doing.part)
        # That a part is over is not worth a line.
        is_new = name not in (self._named, (self._named and self._named[0], ""))
        quiet_since = max(self._output_at(), self._named_at, doing.part_since if is_new else 0)
        if now - quiet_since < (self._named_after_s if is_new else NAMED_AGAIN_S):
            return b""
        self._named, self._named_at = name, now
        text = ": ".join(word for word in name if word)
        if not is_new or now - doing.part_since >= NAMED_AGAIN_S:
            text = f"{text}{f', {doing.count}' if doing.count else ''} ({duration(now - doing.since)})"
        return f"{printable.line(text)}\n".encode(sys.stderr.encoding or "utf-8", "replace")

    def with_output(self, piece: bytes) -> bytes:
        """As it is: whole lines do not disturb each other."""
        return piece


def duration(seconds: float) -> str:
    """`1:05`, or `2:00:00` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fitted(doing: Doing, now: float, width: int) -> str:
    """The line in so many columns: what does not fit is cut before the clock."""
    from rich.cells import cell_len, set_cell_size

    clock = f"  {duration(now - doing.since)}"
    words = [word for word in (doing.step, doing.part, doing.count) if word]
    text = printable.line(f"{_FRAMES[int(now / _FRAME_S) % len(_FRAMES)]} {'  '.join(words)}")
    room = max(width - len(clock), 0)
    if cell_len(text) > room:
        text = f"{set_cell_size(text, max(room - 1, 0)).rstrip()}…"
    return (text + clock)[: max(width, 0)]


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
