"""CSV files: the header in milliseconds, and all of the cells as text.

pandas is imported by what reads cells alone, so that the host can check a header before a run.
"""

import csv
import re
import shlex
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

DECIMAL_COMMA = r"^([+-]?\d+),(\d+)$"
"""3,14 in a file with `;` between its cells."""
_SEPARATORS = ",;\t|"
_LONG_ROW = re.compile(r"Expected (?P<columns>\d+) fields in line (?P<line>\d+), saw (?P<cells>\d+)")
_FORM = "It takes text in UTF-8: a line of column names, then the rows."

csv.field_size_limit(sys.maxsize)  # of the whole process: a text may be long


@dataclass(frozen=True)
class Header:
    """The names of the columns, as `read` has them, and what stands between two cells."""

    names: tuple[str, ...]
    separator: str


def header(path: Path) -> Header:
    """The header of a file. Raises `InputError` for a file that is no CSV, and for two columns of a name.

    A column without a name is `Unnamed: POSITION`, as pandas has it.
    """
    with refusing(path.name):
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                between = separator(file)
                file.seek(0)
                rows = csv.reader(file, delimiter=between, skipinitialspace=True)
                cells = next((row for row in rows if any(cell.strip() for cell in row)), [])
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Specify a CSV file.") from None
    return Header(column_names(cells, file=path.name), between)


def column_names(cells: Sequence[str], *, file: str) -> tuple[str, ...]:
    """The names in the line that is a header. Raises `InputError` where it is empty, or has a name twice."""
    if not cells:
        raise InputError(f"{file} is empty.", _FORM)
    names = [cell.strip() or f"Unnamed: {position}" for position, cell in enumerate(cells)]
    twice = [name for position, name in enumerate(names) if name in names[:position]]
    if twice:
        raise InputError(f"{file} has two columns {twice[0]!r}.", "Rename one of them.")
    return tuple(names)


def separator(lines: Iterable[str]) -> str:
    """What stands between two cells: what the first of the lines that is not blank has most of."""
    first = next((line for line in lines if line.strip()), "")
    return max(_SEPARATORS, key=first.count)


def records(lines: Iterable[str], between: str) -> Iterator[tuple[int, list[str], str]]:
    """The header and each row: the line it begins on, from 1, its cells, and its text, which may be empty.

    A row has several lines where a cell in quotation marks has. Raises `csv.Error`.
    """
    taken: list[str] = []
    line = 1

    def feed() -> Iterator[str]:
        for text in lines:
            taken.append(text)
            yield text

    for cells in csv.reader(feed(), delimiter=between, skipinitialspace=True):
        yield line, cells, "".join(taken)
        line += len(taken)
        taken.clear()


def line_of(path: Path, row: int) -> int:
    """The line of the file, from 1, that a row of `read` begins on; `row` is its place there, from 0."""
    between = header(path).separator
    # Lines without anything are no rows to pandas; one of tabs is, where a tab separates.
    blank = " \t\r\n".replace(between, "")
    with path.open(encoding="utf-8-sig", newline="") as file:
        begins = (line for line, _, text in records(file, between) if text.strip(blank))
        return next(islice(begins, row + 1, None))


def read(path: Path) -> "pd.DataFrame":
    """All cells as text without the blanks around it; empty cells are missing. The index counts from 0.

    In a file with `;` between its cells, 3,14 is 3.14. Raises `InputError` for what is no CSV file, and for
    less than two rows.
    """
    import pandas as pd

    head = header(path)
    with (
        refusing(
            path.name,
            pd.errors.EmptyDataError,
            pd.errors.ParserError,
            pd.errors.ParserWarning,
            hint=f"`trainer data validate {shlex.quote(path.name)}` names each line that is wrong.",
        ),
        warnings.catch_warnings(action="error", category=pd.errors.ParserWarning),
    ):
        frame = pd.read_csv(
            path,
            encoding="utf-8-sig",
            sep=head.separator,
            skipinitialspace=True,
            # Else pandas takes the first column away as an index where rows are longer than the header.
            index_col=False,
            # NA, None and null may be names of classes, and 001 is another one than 1.
            keep_default_na=False,
            na_values=[""],
            dtype=str,
        )
    if len(frame) < 2:
        rows = "1 row" if len(frame) else "no rows"
        raise InputError(f"{path.name} has {rows} below its header.", "Add rows.")
    frame.columns = pd.Index(head.names)
    return cleaned(frame, head.separator)


def cleaned(frame: "pd.DataFrame", separator: str) -> "pd.DataFrame":
    """Text without the blanks around cells: empty ones are missing, and 3,14 is 3.14 where `;` separates."""
    for name in frame.columns:
        cells = frame[name].str.strip()
        if separator == ";":
            cells = cells.str.replace(DECIMAL_COMMA, r"\1.\2", regex=True)
        frame[name] = cells.mask(cells == "")
    return frame


@contextmanager
def refusing(file: str, *pandas_errors: type[Exception], hint: str = _FORM) -> Iterator[None]:
    """Whatever shows that what is read is no CSV file becomes an `InputError`."""
    of_csv: tuple[type[Exception], ...] = (csv.Error, *pandas_errors)
    try:
        yield
    except UnicodeDecodeError:
        convert = f"Convert it: iconv -f ENCODING -t UTF-8 {file}, where ENCODING is often WINDOWS-1252."
        raise InputError(f"{file} is not UTF-8.", convert) from None
    except of_csv as error:
        reason = str(error).splitlines()[0].rstrip(".")
        if long := _LONG_ROW.search(reason):
            reason = f"line {long['line']} has {long['cells']} cells, and the header has {long['columns']}"
        raise InputError(f"{file} is no CSV file: {reason}.", hint) from None
