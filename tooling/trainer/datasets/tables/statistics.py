"""Describing a table: what is in each column, in numbers and as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.data.table import csv_file

from trainer.datasets import Report, silent
from trainer.datasets.statistics import summary
from trainer.datasets.tables import header

if TYPE_CHECKING:
    import pandas as pd
    from trainkit.data.table.columns import Column

PICTURES = COLUMNS, CORRELATION = ("columns.png", "correlation.png")
# With more different numbers the target is a quantity.
_MOST_CLASSES = 20
_TOP = 3


@dataclass(frozen=True)
class ColumnStats:
    """One column. Of numbers and dates the smallest, median and largest value, of words the most frequent."""

    name: str
    kind: str
    missing: int
    distinct: int
    low: str = ""
    median: str = ""
    high: str = ""
    top: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class TableStats:
    """A table in numbers. `classes` are those of the target with their rows, if it has some."""

    path: Path
    rows: int
    columns: tuple[ColumnStats, ...]
    target: str
    classes: tuple[tuple[str, int], ...]

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        columns = [{**asdict(column), "top": dict(column.top)} for column in self.columns]
        classes = {"target": self.target, "classes": dict(self.classes)} if self.target else {}
        return {"path": str(self.path), "rows": self.rows, "columns": columns, **classes}


@dataclass(frozen=True)
class Table:
    """All cells of a file, and what is in its columns."""

    path: Path
    cells: pd.DataFrame
    columns: Sequence[Column]
    target: str = ""


def read(path: Path, target: str = "") -> Table:
    """Read a CSV file. Raises `InvalidInput` where there is no column `target`, `InputError` for no CSV."""
    from trainkit.data.table import columns

    if target:
        header.position(target, csv_file.header(path).names, "--target", path)
    cells = csv_file.read(path)
    return Table(path, cells, columns.describe(cells), target)


def measure(table: Table) -> TableStats:
    """Look into every column."""
    columns = tuple(_of_column(table.cells[column.name], column) for column in table.columns)
    classes: tuple[tuple[str, int], ...] = ()
    for column in table.columns:
        if column.name == table.target and (column.kind != "number" or column.distinct <= _MOST_CLASSES):
            classes = _counts(table.cells[column.name])
    return TableStats(table.path, len(table.cells), columns, table.target, classes)


def draw(table: Table, folder: Path, report: Report = silent) -> tuple[Path, ...]:
    """Draw `columns.png` and, of two numbers or more, `correlation.png` into the folder, which is made.

    Nothing is replaced. Raises `InvalidInput`.
    """
    from trainer.datasets.tables import figures

    summary.check(folder, PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    name = table.path.name
    report("Drawing", 0, len(PICTURES))
    summary.save(figures.panels(name, table.cells, table.columns, table.target), folder / COLUMNS)
    numbers = [column.name for column in table.columns if column.kind == "number"]
    if len(numbers) < 2:
        return (folder / COLUMNS,)
    report("Drawing", 1, len(PICTURES))
    summary.save(figures.correlation(name, table.cells, numbers), folder / CORRELATION)
    return folder / COLUMNS, folder / CORRELATION


def _of_column(cells: pd.Series, column: Column) -> ColumnStats:
    facts = (column.name, column.kind, column.missing, column.distinct)
    if column.kind == "number":
        from trainkit.data.table import columns

        numbers = columns.numbers(cells)
        return ColumnStats(*facts, f"{numbers.min():g}", f"{numbers.median():g}", f"{numbers.max():g}")
    if column.kind == "date":
        days = [str(day)[:10] for day in sorted(_dates(cells, column))]
        return ColumnStats(*facts, days[0], days[len(days) // 2], days[-1]) if days else ColumnStats(*facts)
    if column.kind in ("category", "constant"):
        return ColumnStats(*facts, top=_counts(cells)[:_TOP])
    return ColumnStats(*facts)


def _dates(cells: pd.Series, column: Column) -> Iterator[pd.Timestamp]:
    import pandas as pd

    parsed: pd.Series = pd.to_datetime(cells, format=column.date_format, errors="coerce", utc=True)
    yield from parsed.dropna()


def _counts(cells: pd.Series) -> tuple[tuple[str, int], ...]:
    """The values, the most frequent first, those of the same number by name."""
    counts = cells.value_counts().items()
    return tuple(sorted(((str(value), int(n)) for value, n in counts), key=lambda pair: (-pair[1], pair[0])))
