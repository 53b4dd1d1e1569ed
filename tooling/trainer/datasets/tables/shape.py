"""How large a table is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.counted import counted
from trainer.datasets.tables import files, rows
from trainer.errors import InvalidInput


@dataclass(frozen=True)
class Shape:
    """The number of rows below the header, of all files together, and the names of the columns."""

    rows: int
    columns: tuple[str, ...]

    def __str__(self) -> str:
        """`1,000 rows, 9 columns`."""
        return f"{counted(self.rows, 'row')}, {counted(len(self.columns), 'column')}"


def of(root: Path) -> Shape | None:
    """The size of a table, for which all of it is read; None for another dataset, or one that is no CSV."""
    paths = files.of(root)
    count = 0
    columns: tuple[str, ...] = ()
    try:
        for path in paths:
            all_rows = rows.read(path)
            header = next(all_rows, None)
            columns = columns or (tuple(cell.strip() for cell in header.cells) if header else ())
            count += sum(not row.is_empty for row in all_rows)
    except InvalidInput:  # `validate` says where
        return None
    return Shape(count, columns) if paths else None
