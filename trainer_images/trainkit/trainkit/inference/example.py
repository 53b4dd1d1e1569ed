"""A row that a model takes, for a person to begin with."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

from trainkit.inference.cells import Cell, example_date
from trainkit.inference.description import Category, Column, Date, Scaled, Table


def row(table: Table) -> dict[str, Cell]:
    """What is usual in the training, where the table's encoding says it, and known categories."""
    usual = {
        part.column: part.mean if part.missing is None else part.missing
        for part in table.encoding or ()
        if isinstance(part, Scaled)
    }
    return {column.name: _cell(column, usual) for column in table.columns}


def _cell(column: Column, usual: Mapping[str, float]) -> Cell:
    if isinstance(column, Category):
        return _short(column.values[0]) if column.values else None
    if isinstance(column, Date):
        with contextlib.suppress(KeyError, ValueError, OverflowError, OSError):  # a mean may be of no year
            return example_date(column.format, datetime.fromtimestamp(usual[column.name], UTC))
        return example_date(column.format)
    return _short(usual.get(column.name, 1))


def _short(value: float | str) -> float | str:
    """A number with three digits that count."""
    if isinstance(value, str):
        return value
    rounded = float(f"{value:.3g}")
    return int(rounded) if rounded.is_integer() else rounded
