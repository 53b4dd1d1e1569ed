"""What is to be known of a table's columns, and of the one that is to be learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.data.table import csv_file

from trainer.datasets.tables import rows
from trainer.datasets.tables.findings import Finding, Kind
from trainer.datasets.tables.rows import Row

if TYPE_CHECKING:
    import pandas as pd
    from trainkit.data.table.columns import Column

_MOSTLY = 0.5
# A column that is nearly the same as another: of numbers, by their correlation.
_SAME = 0.999
_MOST_COLUMNS = 200  # that are compared with each other
# With more different numbers the target is a quantity.
_MOST_CLASSES = 20
# Fewer rows of a value say nothing: with one each, every column determines the target.
_ROWS_OF_A_VALUE = 5
# 4.582,20 and 1,234.5 and 52,84 m² and $ 7: groups of thousands, a decimal comma, a unit after or before.
_WRITTEN_NUMBER = (
    r"([$€£] ?)?[+-]?(\d{1,3}([.,'\s]\d{3})+|\d+)([.,]\d+)?"
    r"(\s?[%€$£°]\w?|\s[^\W\d]{1,4}[²³]?(/[^\W\d]+[²³]?)?)?"
)
_KINDS = {"constant": Kind.CONSTANT, "id": Kind.ID, "text": Kind.TEXT}


def frame(path: Path, names: Sequence[str], taken: Sequence[Row]) -> pd.DataFrame:
    """The rows as a run has them; names that are there twice, or none, get a number."""
    import pandas as pd

    different = [
        name if name and names.index(name) == place else f"{name or 'Unnamed'}: {place}"
        for place, name in enumerate(names)
    ]
    cells = [row.cells for row in taken]
    return csv_file.cleaned(pd.DataFrame(cells, columns=different, dtype=str), rows.separator(path))


def findings(
    path: Path, names: Sequence[str], taken: Sequence[Row], target: str, min_rows: int
) -> Iterator[Finding]:
    """What is wrong with the columns of a file; of the rows `taken` each has a cell for each name."""
    from trainkit.data.table import columns

    table = frame(path, names, taken)
    described = {column.name: column for column in columns.describe(table, target)}
    for name, column in described.items():
        yield from _of_column(column, taken, is_target=name == target)
        if column.kind in ("category", "text"):
            yield from _partly_numbers(table[name], taken)
        if column.kind in ("category", "text", "id"):
            yield from _written_numbers(table[name])
    features = [column for column in described.values() if not column.left_out]
    yield from _equal(table, features)
    if target:
        yield from _of_target(table, described[target], features, taken, min_rows)


def _of_column(column: Column, taken: Sequence[Row], *, is_target: bool) -> Iterator[Finding]:
    name = (column.name,)
    if column.mistake:
        row, text = column.mistake
        yield Finding(Kind.MIXED, f"{text!r} is no {column.kind}", name, (taken[row - 1].line,))
    if is_target:
        return
    share = column.missing / len(taken)
    missing = f"{column.missing:,} of {len(taken):,} cells, {share:.0%}"
    if column.kind in _KINDS:
        yield Finding(_KINDS[column.kind], column.left_out, name)
    elif share > _MOSTLY:
        yield Finding(Kind.MOSTLY_MISSING, missing, name)
    elif column.missing:
        yield Finding(Kind.MISSING, missing, name)


def _written_numbers(cells: pd.Series) -> Iterator[Finding]:
    """A column of numbers that are written for people."""
    from trainkit.data.table import columns

    known = cells.dropna()
    are_written = known.str.fullmatch(_WRITTEN_NUMBER) & ~known.str.fullmatch(columns.CODE)
    words = known[are_written & columns.numbers(known).isna()]
    if len(words) and are_written.mean() > columns.MOST:
        yield Finding(Kind.WRITTEN_NUMBERS, f"looks like numbers: {words.iloc[0]}", (str(cells.name),))


def _partly_numbers(cells: pd.Series, taken: Sequence[Row]) -> Iterator[Finding]:
    """A column most of whose cells are numbers, but not nearly all."""
    from trainkit.data.table import columns

    known = cells.dropna()
    words = known[columns.numbers(known).isna()]
    share = 1 - len(words) / len(known) if len(known) else 0
    if _MOSTLY <= share < 1:
        lines = tuple(taken[row].line for row in words.index)
        what = f"{words.iloc[0]!r} and other words; {share:.0%} are numbers"
        yield Finding(Kind.PARTLY_NUMBERS, what, (str(cells.name),), lines)


def _equal(table: pd.DataFrame, features: Sequence[Column]) -> Iterator[Finding]:
    """Pairs of columns of which one is enough."""
    import pandas as pd
    from trainkit.data.table import columns

    some = features[:_MOST_COLUMNS]
    numbers = pd.DataFrame({c.name: columns.numbers(table[c.name]) for c in some if c.kind == "number"})
    fewest = max(_ROWS_OF_A_VALUE, len(table) // 2)  # rows in which both have a value
    correlation = numbers.corr(min_periods=fewest).abs()
    for one, other in combinations(numbers.columns, 2):
        if correlation.loc[one, other] > _SAME:
            exact = numbers[one].equals(numbers[other])
            what = "the same" if exact else f"their correlation is {correlation.loc[one, other]:.4f}"
            yield Finding(Kind.EQUAL, what, (one, other))
    words = [column for column in some if column.kind in ("category", "date")]
    for first, second in combinations(words, 2):
        known = table[[first.name, second.name]].dropna()
        # One to one: as many pairs as values.
        is_same = first.distinct == second.distinct == len(known.drop_duplicates())
        if is_same and len(known) >= max(fewest, 2 * first.distinct):
            yield Finding(Kind.EQUAL, "each value of one has one of the other", (first.name, second.name))


def _of_target(
    table: pd.DataFrame, target: Column, features: Sequence[Column], taken: Sequence[Row], min_rows: int
) -> Iterator[Finding]:
    answers = table[target.name]
    if target.missing:
        lines = tuple(row.line for row, is_missing in zip(taken, answers.isna(), strict=True) if is_missing)
        yield Finding(Kind.NO_TARGET, "", (target.name,), lines)
    if target.distinct < 2:
        yield Finding(Kind.ONE_CLASS, "", (target.name,))
        return
    if target.kind == "number" and target.distinct > _MOST_CLASSES:
        numbers = [column.name for column in features if column.kind == "number"]
        yield from _of_quantity(table, target.name, numbers)
        return
    yield from _of_classes(answers, target.name, min_rows)
    for column in features:
        if _determines(table[column.name], answers, column):
            yield Finding(Kind.LEAK, f"each of its values has one {target.name}", (column.name,))


def _of_quantity(table: pd.DataFrame, target: str, features: Sequence[str]) -> Iterator[Finding]:
    from trainkit.data.table import columns

    quantity = columns.numbers(table[target])
    for name in features:
        r = abs(columns.numbers(table[name]).corr(quantity))
        if r > _SAME:
            yield Finding(Kind.LEAK, f"its correlation with {target} is {r:.4f}", (name,))


def _of_classes(answers: pd.Series, target: str, min_rows: int) -> Iterator[Finding]:
    for label, count in answers.value_counts().items():
        what = f"{label} has {count}"
        if count == 1:
            yield Finding(Kind.RARE_CLASS, what, (target,))
        elif count < min_rows:
            yield Finding(Kind.FEW_ROWS, f"{what}; {min_rows} were asked for", (target,))


def _determines(cells: pd.Series, answers: pd.Series, column: Column) -> bool:
    """Whether each value of the column, or each range of numbers, has one answer."""
    from trainkit.data.table import columns

    known = cells.notna() & answers.notna()
    cells, answers = cells[known], answers[known]
    if answers.nunique() < 2 or len(cells) < 2 * _ROWS_OF_A_VALUE:
        return False
    if column.distinct * _ROWS_OF_A_VALUE <= len(cells):
        return bool(answers.groupby(cells).nunique().max() == 1)
    if column.kind != "number" or answers.value_counts().min() < _ROWS_OF_A_VALUE:
        return False
    numbers = columns.numbers(cells)
    spans = sorted(zip(numbers.groupby(answers).min(), numbers.groupby(answers).max(), strict=True))
    return all(end < start for (_, end), (start, _) in pairwise(spans))
