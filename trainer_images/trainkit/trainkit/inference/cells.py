"""The cells of a table's rows, as they come in CSV or JSON. A mistake in one is refused.

A preprocessing would take it for a missing cell. Training looks for mistakes before; so does this.
"""

import contextlib
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from trainkit.data.table.cells import ISO_8601, MISSING_WORDS
from trainkit.errors import InputError
from trainkit.inference.description import Category, Column, Date, Table, Word

Row: TypeAlias = Mapping[str, object]
"""Cells by the names of their columns: text, numbers, or None for a missing one."""
Cell: TypeAlias = float | str | None
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# As pandas takes ISO 8601: months without a day, and numbers without their zeros.
_DAY = re.compile(r"(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2})([ T].*)?)?", re.ASCII)
_EXAMPLE = datetime(2026, 3, 31, tzinfo=UTC)
_MOST_SHOWN = 20
_LONGEST_SHOWN = 40


class WrongCell(InputError):
    """A cell that its column cannot have; the first row is 1."""

    def __init__(self, message: str, hint: str, *, row: int, column: str) -> None:
        super().__init__(message, hint)
        self.row = row
        self.column = column


class Unseen(NamedTuple):
    """A category that training has not seen; the first row is 1."""

    row: int
    column: str
    value: Word


def read(rows: Sequence[Row], table: Table, *, ignored: Collection[str] = ()) -> dict[str, list[Cell]]:
    """The cells of each column: numbers, dates as seconds since 1970, categories; None for missing ones.

    `ignored` are columns that rows may have besides. Raises `InputError`, naming column and row (the first
    is 1), for a missing and any other column, and for a cell that is no number, date or category.
    """
    names = {column.name for column in table.columns}
    allowed = names.union(ignored)
    for number, row in enumerate(rows, 1):
        if row.keys() != names:
            _refuse_columns(row, number, table, allowed)
    return {
        column.name: [_cell(column, row[column.name], number) for number, row in enumerate(rows, 1)]
        for column in table.columns
    }


def unseen(cells: Mapping[str, Sequence[Cell]], table: Table) -> Iterator[Unseen]:
    """The categories among `read` cells that training has not seen. The model answers them all the same."""
    for column in table.columns:
        if isinstance(column, Category):
            known = set(column.values)
            for number, cell in enumerate(cells[column.name], 1):
                if cell is not None and cell not in known:
                    yield Unseen(number, column.name, cell)


def _refuse_columns(row: Row, number: int, table: Table, allowed: Collection[str]) -> None:
    names = [column.name for column in table.columns]
    if missing := [name for name in names if name not in row]:
        raise InputError(
            f"Row {number} has no column {missing[0]!r}.", f"The model takes {_listed(names)}, in any order."
        )
    if others := [name for name in row if name not in allowed]:
        raise InputError(
            f"Row {number} has a column {others[0]!r}, which the model does not take.",
            f"Leave it out: the model takes {_listed(names)}.",
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_SHOWN])
    rest = len(names) - _MOST_SHOWN
    return f"{shown} and {rest} others" if rest > 0 else shown


def _cell(column: Column, value: object, number: int) -> Cell:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(column, Category):
        if is_coded(column):
            return _number(value, column, number)
        if isinstance(value, str | int | float):
            return str(value).strip() or None
        raise _mistake(column, value, number)
    if isinstance(column, Date):
        return _date(value, column, number)
    return _number(value, column, number)


def is_coded(column: Category) -> bool:
    """Whether its categories are numbers."""
    return bool(column.values) and not any(isinstance(value, str) for value in column.values)


def _number(value: object, column: Column, number: int) -> float | None:
    parsed = math.nan
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in MISSING_WORDS:
            return None
        if _NUMBER.fullmatch(text):
            parsed = float(text)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            parsed = float(value)
    if not math.isfinite(parsed):
        raise _mistake(column, value, number)
    return parsed


def _date(value: object, column: Date, number: int) -> float | None:
    if not isinstance(value, str):
        raise _mistake(column, value, number)
    text = value.strip()
    if text.lower() in MISSING_WORDS:
        return None
    try:
        time = _iso_8601(text) if column.format == ISO_8601 else datetime.strptime(text, column.format)
        return float(math.floor((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError):
        raise _mistake(column, value, number) from None


def _iso_8601(text: str) -> datetime:
    if match := _DAY.fullmatch(text):
        year, month, day, rest = match.groups()
        return datetime.fromisoformat(f"{year}-{month:0>2}-{day or '1':0>2}{rest or ''}")
    return datetime.fromisoformat(text)


def _mistake(column: Column, value: object, number: int) -> WrongCell:
    shown = repr(value)
    shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"
    hint = "Correct it, or leave the cell empty."
    if isinstance(column, Date):
        hint = f"Write it like {example_date(column.format)}, or leave the cell empty."
    elif isinstance(column, Category) and is_coded(column):
        hint = "Its categories are numbers. Use one of them, or leave the cell empty."
    message = f"Row {number}: column {column.name!r} has {shown}, which is no {column.kind}."
    return WrongCell(message, hint, row=number, column=column.name)


def example_date(date_format: str, day: datetime = _EXAMPLE) -> str:
    """A day, as a column of this format has it."""
    return day.date().isoformat() if date_format == ISO_8601 else day.strftime(date_format)
