"""Rows of a table as the numbers that a model takes, by what its description says of the training.

They are those of scikit-learn's preprocessing in training, to the last bit.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainkit.data.table.cells import MISSING, UNKNOWN
from trainkit.inference import cells
from trainkit.inference.cells import Cell, Row
from trainkit.inference.description import Category, Column, Encoded, Index, OneHot, Scaled, Table

Matrix: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = dict[str, NDArray[np.float64] | NDArray[np.object_]]
"""(n, 1) each: floats with NaN, or text with "" for missing cells."""


def encode(rows: Sequence[Row], table: Table, *, ignored: Collection[str] = ()) -> Matrix | Columns:
    """What the model's graph takes: a matrix where the table has an encoding, else its columns by name.

    Raises `InputError` as `cells.read` does.
    """
    return encoded(cells.read(rows, table, ignored=ignored), table)


def encoded(read: Mapping[str, Sequence[Cell]], table: Table) -> Matrix | Columns:
    """The same of the cells that were read already."""
    if table.encoding is None:
        return {column.name: _column(column, read[column.name]) for column in table.columns}
    return np.concatenate([_encoded(part, read[part.column]) for part in table.encoding], axis=1)


def _column(column: Column, read: Sequence[Cell]) -> NDArray[np.float64] | NDArray[np.object_]:
    if isinstance(column, Category) and not cells.is_coded(column):
        words = np.empty((len(read), 1), dtype=np.object_)
        words[:, 0] = ["" if cell is None else cell for cell in read]
        return words
    return np.array([np.nan if cell is None else cell for cell in read], dtype=np.float64).reshape(-1, 1)


def _encoded(part: Encoded, read: Sequence[Cell]) -> Matrix:
    if isinstance(part, Scaled):
        return _scaled(part, read)
    return _one_hot(part, read) if isinstance(part, OneHot) else _index(part, read)


def _scaled(part: Scaled, read: Sequence[Cell]) -> Matrix:
    missing = np.nan if part.missing is None else part.missing
    values = np.array([missing if cell is None else cell for cell in read], dtype=np.float64)
    scaled: Matrix = ((values - part.mean) / part.deviation).reshape(-1, 1)
    return scaled


def _one_hot(part: OneHot, read: Sequence[Cell]) -> Matrix:
    positions = {category: position for position, category in enumerate(part.categories)}
    numbers = np.zeros((len(read), part.width))
    for row, cell in enumerate(read):
        position = positions.get(cell, len(positions))
        if position < part.width:  # else there are no rare ones, and it is none of them
            numbers[row, position] = 1
    return numbers


def _index(part: Index, read: Sequence[Cell]) -> Matrix:
    positions = {category: position for position, category in enumerate(part.categories)}
    if None in positions:
        positions[None] = MISSING
    numbers = [positions.get(cell, UNKNOWN) for cell in read]
    return np.array(numbers, dtype=np.float64).reshape(-1, 1)
