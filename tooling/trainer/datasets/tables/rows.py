"""The rows of a CSV file as they are written, with the lines that they stand on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from trainkit.data.table import csv_file

from trainer.errors import InvalidInput


class Row(NamedTuple):
    """One row. `line` is the number of its first line in the file, from 1; `text` is all of it."""

    line: int
    cells: list[str]
    text: str

    @property
    def is_empty(self) -> bool:
        """Whether no cell of it has anything but blanks."""
        return not any(cell.strip() for cell in self.cells)


class Broken(NamedTuple):
    """The first byte that is not UTF-8: its value, its line, and its place in the file, both from 1."""

    byte: int
    line: int
    place: int


def separator(path: Path) -> str:
    """What stands between two cells of the file. Raises as `read`."""
    with _refusing(path):
        return csv_file.separator(_lines(path))


def read(path: Path) -> Iterator[Row]:
    """The header, then each row, lines without anything too.

    Raises `InvalidInput` for a file that cannot be read, or is not UTF-8.
    """
    between = separator(path)
    with _refusing(path):
        is_header = True
        for row in map(Row._make, csv_file.records(_lines(path), between)):
            # As for a run: blank lines above the header do not count.
            if not (is_header and row.is_empty):
                is_header = False
                yield row


def broken(path: Path) -> Broken | None:
    """The first byte of the file that is not UTF-8, if there is one."""
    before = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return Broken(line[error.start], number, before + error.start + 1)
            before += len(line)
    return None


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Within: what cannot be read of the file is an error that says where."""
    try:
        yield
    except UnicodeDecodeError:
        raise not_utf8(path) from None
    except csv.Error as error:
        raise InvalidInput(
            f"{path.name} is no CSV file: {error}.", "Save it as CSV: a line of column names, then the rows."
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.", "Let the user that runs trainer read it."
        ) from None


def not_utf8(path: Path) -> InvalidInput:
    """The error for a file in another encoding, which says where that shows, and how to convert it."""
    found = broken(path)
    where = f": byte 0x{found.byte:02X} in line {found.line}" if found else ""
    return InvalidInput(f"{path.name} is not UTF-8{where}.", f"Convert it: {conversion(path)}")


def conversion(path: Path) -> str:
    """The command that makes UTF-8 of the file."""
    return f"iconv -f {encoding(path)} -t UTF-8 {path.name} > {path.stem}-utf8{path.suffix}"


def encoding(path: Path) -> str:
    """What a file that is not UTF-8 probably is."""
    with path.open("rb") as file:
        return "UTF-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from file
