"""Runs side by side in a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import figures, output

if TYPE_CHECKING:
    from rich.text import Text

    from trainer.tracking.client import Run
    from trainer.tracking.compare import Comparison, MetricRow, Row

    Cells = Sequence[str | Text]
    Sections = Mapping[str, tuple[Sequence[Row | MetricRow], int]]  # by title; how many more are equal

_GAP = 2  # between two columns
_DIGITS = 4  # of a metric, where there is no room for more


def show(compared: Comparison, *, everything: bool) -> None:
    """Print a column for each run. `everything`: also what is equal.

    In a terminal that is too narrow for that the runs are numbered, and the differences to the first one are
    left out; where even that is too wide, runs follow below each other.
    """
    shown: dict[str, tuple[Sequence[Row | MetricRow], int]] = {}
    equal: list[str] = []
    sections: list[tuple[str, Sequence[Row | MetricRow]]] = [
        ("Parameters", compared.parameters),
        ("Metrics", compared.metrics),
        *compared.origins.items(),
    ]
    for title, section in sections:
        rows = [row for row in section if everything or row.differs]
        if rows:
            shown[title] = rows, len(section) - len(rows)
        elif section:
            equal.append(title.lower())
    headings, table = _wide(compared.runs, shown)
    room = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or output.fitting(headings, table, 0, room) == len(headings):
        output.table(headings, table)
    else:
        _narrow(compared.runs, shown, room)
    for remark in compared.remarks:
        click.echo(f"\n{remark}")
    if equal:
        click.echo(f"\nEqual: {', '.join(equal)}.")


def _wide(runs: Sequence[Run], sections: Sections) -> tuple[Sequence[str], list[Cells]]:
    rows: list[Cells] = [("id", *(run.id[:8] for run in runs)), ("status", *map(_status, runs))]
    for title, (shown, hidden) in sections.items():
        rows += [("",), (output.bold(title), output.faint(f"{hidden} more equal") if hidden else "")]
        rows += [(f"  {printable.line(row.name)}", *_cells(row)) for row in shown]
    filled: list[Cells] = [(*row, *[""] * (len(runs) + 1 - len(row))) for row in rows]
    return ("", *(printable.line(run.name) for run in runs)), filled


def _narrow(runs: Sequence[Run], sections: Sections, room: int) -> None:
    output.table(
        ("", "RUN", "ID", "STATUS"),
        [
            (str(number), printable.line(run.name), run.id[:8], _status(run))
            for number, run in enumerate(runs, 1)
        ],
    )
    for title, (shown, hidden) in sections.items():
        names = [f"  {printable.line(row.name)}" for row in shown]
        columns = list(zip(*(_short_cells(row) for row in shown), strict=True))
        for group in _groups(names, columns, room):
            click.echo()
            rows = zip(names, *(columns[index] for index in group), strict=True)
            output.table((title, *(str(index + 1) for index in group)), rows)
        if hidden:
            click.echo(f"  {hidden} more equal")
    if "Metrics" in sections:
        click.echo("\nA wider terminal shows the differences to run 1 too.")


def _groups(names: Sequence[str], columns: Sequence[Cells], room: int) -> Iterator[Sequence[int]]:
    """The columns in groups that are not wider than `room` together with the names."""
    taken = max(map(_width, names))
    group: list[int] = []
    left = room - taken
    for index, column in enumerate(columns):
        width = max(map(_width, column)) + _GAP
        if group and width > left:
            yield group
            group, left = [], room - taken
        group.append(index)
        left -= width
    yield group


def _width(cell: str | Text) -> int:
    from rich.cells import cell_len

    return cell_len(cell if isinstance(cell, str) else cell.plain)


def _status(run: Run) -> Text:
    return output.coloured(run.status, figures.status_colour(run.status))


def _cells(row: Row | MetricRow) -> Cells:
    from trainer.tracking.compare import MetricRow

    if not isinstance(row, MetricRow):
        return [_said(value) for value in row.values]
    cells: list[str | Text] = []
    for index, value in enumerate(row.values):
        text = figures.metric(value) or "-"
        if index and row.differs and (change := figures.difference(row.differences[index])):
            text += f" ({change})"
        cells.append(output.coloured(f"{text} *", "green") if index in row.best else text)
    return cells


def _short_cells(row: Row | MetricRow) -> Cells:
    from trainer.tracking.compare import MetricRow

    if not isinstance(row, MetricRow):
        return [_said(value, 8) for value in row.values]
    texts = [f"{value:.{_DIGITS}g}" if value is not None else "-" for value in row.values]
    return [
        output.coloured(f"{text}*", "green") if index in row.best else text
        for index, text in enumerate(texts)
    ]


def _said(value: str | None, length: int = 12) -> str:
    return "-" if value is None else printable.line(figures.short(value, length))
