"""Output: steps and progress on stderr, results on stdout, colours only where there is a terminal."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeVar

import click

from trainer import printable
from trainer.cli import diagnostics, figures
from trainer.cli.live.line import NAMED_AGAIN_S, Doing, Line, PlainLines, RedrawnLine, columns, redraws
from trainer.cli.live.outflow import BackgroundWriter
from trainer.cli.streams import drawn_on, escaped, mute

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID
    from rich.table import Table
    from rich.text import Text

    from trainer.tracking.client import Run

T = TypeVar("T")
_LINE_EVERY_S = 5
_GAP = 2  # between two columns


class Progress:
    """Shows what a long command does, on stderr: one live line in a terminal, plain lines elsewhere.

    What a run prints goes to `output`, which is stdout. `plain` shows all that the steps print, too.
    """

    def __init__(self, output: BinaryIO | None = None, *, plain: bool = False) -> None:
        stream = output or sys.stdout.buffer
        self._plain = plain or os.environ.get("BUILDKIT_PROGRESS") == "plain"
        self._doing: Doing | None = None
        self._output_at = 0.0
        self._at_line_start = True
        self._live = redraws(sys.stderr) and not self._plain and not diagnostics.are_shown()
        line: Line
        if self._live:
            line = RedrawnLine(lambda: self._doing, lambda: columns(sys.stderr))
        else:
            named_after = (NAMED_AGAIN_S,) if self._plain else ()
            line = PlainLines(lambda: self._doing, lambda: self._output_at, *named_after)
        self._screen = BackgroundWriter(drawn_on(sys.stderr).buffer, line)
        # On one screen the two are written by one thread: what is printed takes the line's place.
        is_one = self._live and stream.isatty()
        self._output = self._screen if is_one else BackgroundWriter(stream)

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave a clean line. Waits for a reader that is slow, unless the command was stopped."""
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


class Bar:
    """Shows how far a long command is: a bar in a terminal, a line every few seconds elsewhere."""

    def __init__(self, *, counts_bytes: bool = False) -> None:
        self._counts_bytes = counts_bytes
        self._rich: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last = time.monotonic()

    def __enter__(self) -> Bar:
        """Begin; nothing is shown before the first step."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self._rich:
            self._rich.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        """So many of the step's items are done."""
        if sys.stderr.isatty():
            self._show(step, done, total)
        elif time.monotonic() - self._last > _LINE_EVERY_S:
            self._last = time.monotonic()
            show = figures.size if self._counts_bytes else str
            click.echo(f"{step}: {show(done)} of {show(total)}", err=True)

    def _show(self, step: str, done: int, total: int) -> None:
        if self._rich is None:
            from rich import progress
            from rich.console import Console

            count = progress.DownloadColumn() if self._counts_bytes else progress.MofNCompleteColumn()
            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                count,
                progress.TimeRemainingColumn(),
            )
            self._rich = progress.Progress(
                *columns, console=Console(file=drawn_on(sys.stderr)), transient=True
            )
            self._rich.start()
        if step not in self._tasks:
            self._tasks[step] = self._rich.add_task(_escape(printable.line(step)), total=total)
        self._rich.update(self._tasks[step], completed=done, total=total)


def tell(line: str) -> None:
    """A line on stderr, if that can still be written."""
    try:
        click.echo(line, err=True)
    except OSError:
        mute(sys.stderr.buffer)


def style(text: str, *, fg: str | None = None, bold: bool = False, underline: bool = False) -> str:
    """`text` in a colour; click leaves it out where there is no terminal, and we where NO_COLOR is set."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=fg, bold=bold, underline=underline)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    numbers: int = 0,
    least: int | None = None,
) -> None:
    """Print a table: aligned columns with a heading, the same in a terminal and in a pipe.

    The last `numbers` columns are aligned at their right. In a terminal that is too narrow columns are
    folded; before that, those after the first `least` are left out from the end.
    """
    from rich.console import Console

    rows = list(rows)
    if sys.stdout.isatty():
        console = Console(file=drawn_on(sys.stdout), highlight=False)
        shown = len(headings) if least is None else fitting(headings, rows, least, console.width)
        console.print(_table(headings[:shown], rows, numbers - len(headings) + shown))
        return
    # Without a terminal nothing is folded to a guessed width, and no line ends in blanks.
    console = Console(width=200, highlight=False, file=io.StringIO())
    with console.capture() as capture:
        console.print(_table(headings, rows, numbers))
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def fitting(headings: Sequence[str], rows: Sequence[Sequence[str | Text]], least: int, room: int) -> int:
    """How many of the columns are not wider than `room` together, `least` at least."""
    from rich.cells import cell_len

    widths = [
        max(cell_len(cell if isinstance(cell, str) else cell.plain) for cell in column) + _GAP
        for column in zip(headings, *rows, strict=True)
    ]
    shown = len(headings)
    while shown > least and sum(widths[:shown]) - _GAP > room:
        shown -= 1
    return shown


def _table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], numbers: int) -> Table:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in zip(range(len(headings), 0, -1), headings, strict=True):
        side: Literal["left", "right"] = "right" if number <= numbers else "left"
        shown.add_column(_escape(printable.line(heading)), overflow="fold", justify=side)
    for row in rows:
        cells = row[: len(headings)]
        shown.add_row(*(_escape(printable.lines(cell)) if isinstance(cell, str) else cell for cell in cells))
    return shown


def coloured(text: str, colour: str) -> Text:
    """A cell of a table in a colour, where there is a terminal."""
    from rich.text import Text

    return Text(printable.lines(text), style=colour)


def bold(text: str) -> Text:
    """A cell that is a heading."""
    return coloured(text, "bold")


def faint(text: str) -> Text:
    """A cell that is a remark."""
    return coloured(text, "dim")


def next_steps(commands: Iterable[str]) -> None:
    """Print commands that a user may want now."""
    for number, command in enumerate(commands):
        click.echo(f"{style('Next:', bold=True) if number == 0 else '     '} {command}")


def finite(value: T) -> T | str:
    """The value as JSON can say it: what is no number, or too large to be one, as a word."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_json(value: object) -> None:
    """Print a value for another program."""
    click.echo(json.dumps(value, indent=2, default=str))
