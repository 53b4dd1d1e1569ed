"""What the commands of `trainer data` print of tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.errors import InvalidInput

if TYPE_CHECKING:
    from trainer.datasets.tables.statistics import ColumnStats

_LONGEST = 20  # letters of a value


def print_columns(root: Path) -> None:
    """Print the columns of a table with their kinds, or why they cannot be read."""
    from trainkit.data.table import columns, csv_file
    from trainkit.errors import InputError

    from trainer.datasets.tables import files

    try:
        described = columns.describe(csv_file.read(files.of(root)[0]))
    except InputError as error:
        click.echo(error.message)
        return
    output.table(
        ("COLUMN", "KIND", "LEFT OUT OF A TRAINING", "MISSING", "DISTINCT"),
        [
            (column.name, column.kind, column.left_out or "-", f"{column.missing:,}", f"{column.distinct:,}")
            for column in described
        ],
        numbers=2,
    )


def one_file(root: Path) -> Path:
    """The file of a table. Raises `InvalidInput` for a folder of several."""
    from trainer.datasets.tables import files

    paths = files.of(root)
    if len(paths) > 1:
        raise InvalidInput(
            f"{root} has {len(paths)} CSV files.", f"Specify one of them: {root / paths[0].name}"
        )
    return paths[0]


def print_stats(path: Path, target: str, folder: Path, *, as_json: bool) -> None:
    """Print what is in each column of a table, and draw it into the folder."""
    from trainer.datasets.statistics import summary
    from trainer.datasets.tables import statistics

    summary.check(folder, statistics.PICTURES)
    with output.Bar() as bar:
        bar("Reading", 0, 1)
        table = statistics.read(path, target)
        measured = statistics.measure(table)
        bar("Reading", 1, 1)
        pictures = statistics.draw(table, folder, bar)
    if as_json:
        output.as_json({**measured.as_json(), "pictures": pictures})
        return
    output.table(
        ("COLUMN", "KIND", "VALUES", "MISSING", "DISTINCT"),
        [
            (c.name, c.kind, _values(c, measured.rows), f"{c.missing:,}", f"{c.distinct:,}")
            for c in measured.columns
        ],
        numbers=2,
    )
    if measured.classes:
        click.echo()
        output.table(
            (target, "ROWS", "SHARE"),
            [(label, f"{count:,}", f"{count / measured.rows:.1%}") for label, count in measured.classes],
            numbers=2,
        )
    click.echo()
    for picture in pictures:
        click.echo(f"Drew {picture}")


def _values(column: ColumnStats, rows: int) -> str:
    """From the smallest to the largest, with the median between them; or the most frequent values."""
    if column.low:
        return f"{column.low} … {column.median} … {column.high}"
    parts = [f"{_short(label)} {count / rows:.0%}" for label, count in column.top]
    return ", ".join(parts + ["…"] * (column.distinct > len(column.top))) if parts else "-"


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
