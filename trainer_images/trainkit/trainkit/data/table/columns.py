"""What is in the columns of a table, found out by looking: numbers, categories, dates, and what is none."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from trainkit.data.table import csv_file
from trainkit.data.table.cells import ISO_8601, MISSING_WORDS
from trainkit.errors import InputError

Kind = Literal["number", "category", "date", "id", "constant", "text"]

_DATES = (
    ISO_8601,
    *("%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M"),
    *("%d.%m.%Y", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d-%m-%Y"),
    *("%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
# A year, a month and a day by numbers or names, so that 2020 or 12.5 alone is none.
_LIKE_A_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}.*)?|\d{1,4}[./-]\d{1,2}[./-]\d{2,4}.*|.*[A-Za-z]{3}.*\d{4}")
CODE = r"[+-]?0\d+"
"""001 is the code of something, and not 1."""
# customer_id, customerId, customerid; and how rows are numbered.
_ID = re.compile(r"(?i:(^|[^a-z])(id|uuid|guid)$)|[a-z](Id|ID)$|^[a-z]{4,}id$")
_INDEX = re.compile(r"Unnamed: \d+|index|row|row.?(number|names?|nr|no)", re.IGNORECASE)
# With more of its cells than this being numbers (or dates), a column is one whose other cells are mistakes.
MOST = 0.9
_FEW_WORDS = 20
_MANY_WORDS = 1000
_ROWS_OF_A_WORD = 5


@dataclass(frozen=True)
class Column:
    """One column. `missing` and `distinct` count cells without and with a value.

    `left_out` says in words why it is not learnt from, or is empty.
    """

    name: str
    kind: Kind
    missing: int
    distinct: int
    left_out: str = ""
    date_format: str = ""
    """Of dates: `ISO8601`, or as `strptime` has it."""
    coded: bool = False
    """Of categories: whether all of their names are numbers."""
    mistake: tuple[int, str] | None = None
    """Row (the first is 1) and text of the first cell that is no number or date, where nearly all are."""


def describe(
    frame: pd.DataFrame, target: str = "", *, drop: Collection[str] = (), categorical: Collection[str] = ()
) -> tuple[Column, ...]:
    """What is in each column of a table of text (`csv_file.read`), in its order; nothing is refused.

    `categorical` are columns whose numbers are names. The target and the columns of `drop` are described as
    all others are, and left out.
    """
    described = []
    for name in map(str, frame.columns):
        column = _describe(frame[name], name, as_category=name in categorical)
        if name == target:
            column = replace(column, left_out="the target")
        elif name in drop:
            column = replace(column, left_out="--drop")
        described.append(column)
    return tuple(described)


def features(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns that are learnt from."""
    return tuple(column for column in columns if not column.left_out)


def typed(frame: pd.DataFrame, columns: Sequence[Column], path: Path) -> pd.DataFrame:
    """The columns that are learnt from: numbers as float64, dates as they are written, categories as words.

    Categories whose names are numbers are float64 too. Missing cells are NaN. `path` is the file that `frame`
    was read from. Raises `InputError` for a mistake in a column, naming column and line, and where no column
    is left.
    """
    used = features(columns)
    if not used:
        reasons = ", ".join(
            f"{column.name} ({column.left_out})" for column in columns if column.left_out != "the target"
        )
        raise InputError(
            f"{path.name} has no column to learn from: {reasons}.",
            "Add columns; --categorical NAME takes one for a category.",
        )
    for column in used:
        if column.mistake:
            row, cell = column.mistake
            line = csv_file.line_of(path, row - 1)
            raise InputError(
                f"{path.name}: column {column.name!r} has {cell!r} in line {line}, "
                f"which is no {column.kind}.",
                f"Correct it, or use --drop {column.name} or --categorical {column.name}.",
            )
    return pd.DataFrame({column.name: _typed(frame[column.name], column) for column in used})


def numbers(cells: pd.Series) -> pd.Series:
    """Text as float64; NaN for what is no finite number."""
    values = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    return values.where(np.isfinite(values))


def dates(cells: pd.Series, date_format: str) -> pd.Series:
    """Text as times in UTC; NaT for what is not written like this."""
    like_dates = cells.where(cells.str.fullmatch(_LIKE_A_DATE))
    return pd.to_datetime(like_dates, format=date_format, errors="coerce", utc=True)


def is_missing(cells: pd.Series) -> pd.Series:
    """Which cells have no value, if the column is one of numbers or dates."""
    return cells.isna() | cells.str.lower().isin(MISSING_WORDS)


def _typed(cells: pd.Series, column: Column) -> pd.Series:
    if column.kind == "number" or column.coded:
        return numbers(cells)
    return cells.mask(is_missing(cells)) if column.kind == "date" else cells


def _describe(cells: pd.Series, name: str, *, as_category: bool) -> Column:
    words = cells.dropna()
    of_words = Column(name, "text", len(cells) - len(words), words.nunique())
    if of_words.distinct == 0:
        return replace(of_words, kind="constant", left_out="empty")
    if of_words.distinct == 1 and not of_words.missing:
        return replace(of_words, kind="constant", left_out="the same everywhere")
    values = cells[~is_missing(cells)]
    column = replace(of_words, missing=len(cells) - len(values), distinct=values.nunique())
    parsed = numbers(values).mask(values.str.fullmatch(CODE))
    if as_category:
        coded = len(values) > 0 and bool(parsed.notna().all())
        return replace(column if coded else of_words, kind="category", coded=coded)
    if len(values) and parsed.notna().mean() > MOST:
        whole = bool((parsed.dropna() % 1 == 0).all())
        if whole and _is_id(column, len(values)):
            return _id(column, len(values))
        return replace(column, kind="number", mistake=_mistake(values, parsed))
    for date_format in _DATES if len(values) else ():
        # Most columns are no dates, which a few cells tell.
        if dates(values[:50], date_format).notna().mean() > MOST:
            parsed = dates(values, date_format)
            if parsed.notna().mean() > MOST:
                mistake = _mistake(values, parsed)
                return replace(column, kind="date", date_format=date_format, mistake=mistake)
    return _of_words(of_words, words)


def _of_words(column: Column, words: pd.Series) -> Column:
    """A category, an id, or text."""
    rows = len(words)
    single = not words.str.contains(r"\s", regex=True).mean() > 1 - MOST
    if single and (column.distinct > MOST * rows or _is_id(column, rows)):
        return _id(column, rows)
    often = column.distinct * _ROWS_OF_A_WORD <= rows and column.distinct <= _MANY_WORDS
    if often or (column.distinct <= _FEW_WORDS and column.distinct < rows):
        return replace(column, kind="category")
    return replace(column, left_out=f"text, {column.distinct:,} different in {rows:,} rows")


def _is_id(column: Column, rows: int) -> bool:
    """Whether the name says so, and hardly any value is there twice."""
    if _INDEX.fullmatch(column.name):
        return column.distinct == rows
    return bool(_ID.search(column.name)) and column.distinct > rows / 2


def _id(column: Column, rows: int) -> Column:
    reason = f"an id, {column.distinct:,} different in {rows:,} rows"
    return replace(column, kind="id", left_out=reason)


def _mistake(values: pd.Series, parsed: pd.Series) -> tuple[int, str] | None:
    wrong = values[parsed.isna()]
    return (int(wrong.index[0]) + 1, str(wrong.iloc[0])) if len(wrong) else None
