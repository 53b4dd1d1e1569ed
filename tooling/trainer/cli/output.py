"""Output: remarks and bars on stderr, results on stdout, colours only where there is a terminal."""

from __future__ import annotations

import io
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import click

from trainer import printable
from trainer.cli import figures
from trainer.cli.streams import drawn_on, mute

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID
    from rich.table import Table
    from rich.text import Text


T = TypeVar("T")
_LINE_EVERY_S = 5
_GAP = 2  # between two columns
_COLUMNS = 80
_COMMAND = re.compile(
    r"`[^`]+`|(?:^|(?<=: ))(?:trainer|cd|docker|git|iconv|ln|mlflow|pip) (?:(?!\. )[^,;(])+"
)


class Bar:
    """Shows how far a long command is: a bar in a terminal, a line every few seconds elsewhere."""

    is_shown: ClassVar[bool] = False
    """Whether there is one in the terminal."""

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
            Bar.is_shown = False

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
            Bar.is_shown = True
        if step not in self._tasks:
            self._tasks[step] = self._rich.add_task(_escape(printable.line(step)), total=total)
        self._rich.update(self._tasks[step], completed=done, total=total)


def tell(line: str) -> None:
    """A line on stderr, if that can still be written."""
    try:
        click.echo(line, err=True)
    except OSError:
        mute(sys.stderr.buffer)


def style(
    text: str,
    *,
    fg: str | None = None,
    bold: bool = False,
    dim: bool | None = None,
    underline: bool = False,
) -> str:
    """`text` in a colour where there is a terminal, which click sees to, that has any and may show them."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, fg=fg, bold=bold, dim=dim, underline=underline)


def folded(text: str, *, indent: int) -> str:
    """A line on stderr after `indent` letters, broken between words where that is a terminal.

    What one would copy stays in one line: a command, and what is in backticks.
    """
    if not sys.stderr.isatty():
        return text
    import textwrap

    # No printable text has this blank (`printable.line`), and textwrap breaks no line at it.
    joined = _COMMAND.sub(lambda match: match[0].replace(" ", "\u00a0"), text)
    margin = " " * indent
    lines = textwrap.fill(
        joined,
        _columns(),
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines[indent:].replace("\u00a0", " ")


def _columns() -> int:
    """How wide the terminal is that stderr is; one that does not say counts as 80."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@dataclass(frozen=True)
class Remark:
    """A line of a table below one of its rows: text from the column `below` on, however long it is."""

    text: str
    below: int = 0


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text] | Remark],
    *,
    numbers: int = 0,
    least: int | None = None,
) -> None:
    """Print a table: aligned columns with a heading, the same in a terminal and in a pipe.

    The last `numbers` columns are aligned at their right. In a terminal that is too narrow columns are
    folded; before that, those after the first `least` are left out from the end.
    """
    from rich.console import Console

    lines = list(rows)
    cells = [row for row in lines if not isinstance(row, Remark)]
    is_terminal = sys.stdout.isatty()
    # Without a terminal nothing is folded to a guessed width, and no line ends in blanks.
    console = Console(
        width=None if is_terminal else 200,
        highlight=False,
        file=drawn_on(sys.stdout) if is_terminal else io.StringIO(),
    )
    shown = len(headings)
    if is_terminal and least is not None:
        shown = fitting(headings, cells, least, console.width)
    drawn = [("",) * len(headings) if isinstance(row, Remark) else row for row in lines]
    with console.capture() as capture:
        console.print(_table(headings[:shown], drawn, numbers - len(headings) + shown))
    # Rows may be folded, and only that of a remark is blank.
    remarks = iter([row for row in lines if isinstance(row, Remark)])
    margins = _widths(headings, cells)
    for line in capture.get().splitlines():
        text = line if is_terminal else line.rstrip()
        if not line.strip() and (remark := next(remarks, None)):
            text = " " * sum(margins[: remark.below]) + printable.line(remark.text)
            text = style(_cut(text, console.width), dim=True) if is_terminal else text
        click.echo(text, file=drawn_on(sys.stdout) if is_terminal else None)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def fitting(headings: Sequence[str], rows: Sequence[Sequence[str | Text]], least: int, room: int) -> int:
    """How many of the columns are not wider than `room` together, `least` at least."""
    widths = _widths(headings, rows)
    shown = len(headings)
    while shown > least and sum(widths[:shown]) - _GAP > room:
        shown -= 1
    return shown


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> list[int]:
    """Of the columns, with the gap behind them."""
    from rich.cells import cell_len

    return [
        max(cell_len(cell if isinstance(cell, str) else cell.plain) for cell in column) + _GAP
        for column in zip(headings, *rows, strict=True)
    ]


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
