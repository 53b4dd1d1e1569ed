"""Rows from CSV, by the rules that training reads it by, without pandas."""

import csv
import io
import re
from collections.abc import Iterator

from trainkit.data.table import csv_file
from trainkit.errors import InputError
from trainkit.inference.cells import Row

_DECIMAL_COMMA = re.compile(csv_file.DECIMAL_COMMA, re.ASCII)


def read(content: bytes, *, name: str) -> list[Row]:
    """The rows below the header: text without the blanks around it, None for an empty cell.

    In a file with `;` between its cells, 3,14 is 3.14. Raises `InputError`, with the file's `name`, for what
    is no CSV, a row that is longer or shorter than the header, and where there is no row.
    """
    with csv_file.refusing(name):
        lines = content.decode("utf-8-sig")
        between = csv_file.separator(io.StringIO(lines))
        rows = list(_rows(lines, between, name))
    if not rows:
        raise InputError(f"{name} has no rows below its header.", "Add one to predict for.")
    return rows


def _rows(lines: str, between: str, name: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=between, skipinitialspace=True)
    # A line without a separator and without text is no row, not even one of a single column.
    filled = (cells for cells in reader if len(cells) > 1 or any(cell.strip() for cell in cells))
    names = csv_file.column_names(next(filled, []), file=name)
    for number, cells in enumerate(filled, 1):
        if len(cells) != len(names):
            raise InputError(
                f"{name}: row {number} has {len(cells)} cells, and the header has {len(names)}.",
                "Correct the row; text that has the separator in it goes into quotes.",
            )
        yield {column: _cleaned(cell, between) or None for column, cell in zip(names, cells, strict=True)}


def _cleaned(cell: str, between: str) -> str:
    text = cell.strip()
    return _DECIMAL_COMMA.sub(r"\1.\2", text) if between == ";" else text
