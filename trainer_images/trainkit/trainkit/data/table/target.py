"""The column to learn: classes or a quantity, and what can be neither."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainkit.data.table import csv_file
from trainkit.data.table.columns import MOST, is_missing, numbers
from trainkit.errors import InputError

# Whole numbers with more different values than this are a quantity, unless the user says otherwise.
_MOST_NUMBERED = 20
# Words of which each is there less often than this on average are no classes.
_ROWS_OF_A_CLASS = 3
_FEW_CLASSES = 50
# The projects differ in the option that says what is learnt.
AS_QUANTITY = "--task regression, or --loss MSELoss"
AS_CLASSES = "--task classification, or --loss CrossEntropyLoss"


@dataclass(frozen=True)
class Target:
    """`class_names[number]` is what a class's number means; a quantity has none."""

    class_names: tuple[str, ...]
    values: NDArray[np.float64] = field(repr=False)


def are_classes(cells: pd.Series) -> bool:
    """Whether the cells look like classes: words, or a few different whole numbers."""
    values = numbers(cells[~is_missing(cells)])
    if not len(values) or values.notna().mean() <= MOST:
        return True
    values = values.dropna()
    distinct = values.nunique()
    return bool((values % 1 == 0).all()) and distinct <= _MOST_NUMBERED and distinct * 2 <= len(values)


def classes(cells: pd.Series, column: str, as_quantity: str = AS_QUANTITY) -> Target:
    """The cells as classes. Raises `InputError` for one class, for one with one row, and for too many.

    `as_quantity` is the option that has a quantity learnt, for the hint.
    """
    words = sorted(set(cells), key=_as_number_or_word)
    if len(words) < 2:
        raise InputError(
            f"Column {column!r} has the same value everywhere.", "A classifier needs two classes."
        )
    if len(words) > _FEW_CLASSES and len(words) * _ROWS_OF_A_CLASS > len(cells):
        are_numbers = all(_as_number_or_word(word)[0] != inf for word in words)
        what, reason, hint = (
            (
                "numbers",
                "a quantity, not classes",
                f"Learn it as a quantity ({as_quantity}), or name another --target.",
            )
            if are_numbers
            else (
                f"words, such as {words[0]!r},",
                "too many for classes",
                "Name another --target; or write numbers without thousands separators and units.",
            )
        )
        raise InputError(
            f"Column {column!r} has {len(words):,} different {what} in {len(cells):,} rows: {reason}.", hint
        )
    values = cells.map({word: number for number, word in enumerate(words)}).to_numpy(dtype=np.float64)
    counts = np.bincount(values.astype(np.int64))
    if counts.min() < 2:
        rare = words[int(counts.argmin())]
        raise InputError(
            f"Class {rare} of column {column!r} has one row.", "It takes two at least: train, validation."
        )
    return Target(tuple(words), values)


def quantity(cells: pd.Series, column: str, path: Path, as_classes: str = AS_CLASSES) -> Target:
    """The cells as numbers; `path` is the file that they were read from.

    `as_classes` is the option that has classes learnt, for the hint.

    Raises `InputError` for what is none, naming its line, and for one number everywhere.
    """
    values = numbers(cells)
    if values.isna().any():
        row = int(values.index[values.isna()][0])
        raise InputError(
            f"{path.name}: column {column!r} has {cells[row]!r} in line {csv_file.line_of(path, row)}, "
            "which is no number.",
            f"Correct it, or learn the column as classes ({as_classes}).",
        )
    if values.min() == values.max():
        raise InputError(f"Column {column!r} has the same value everywhere.", "Specify another --target.")
    return Target((), values.to_numpy())


def misfit(option: str, value: str, target: str, classes: int, fitting: Sequence[str]) -> InputError:
    """The error for a value of an option, such as an estimator, that cannot learn what the target is.

    `classes` is how many there are, 0 for a quantity; `fitting` are the values that can learn it.
    """
    what = f"{classes} classes" if classes else "a quantity"
    others = " or ".join(filter(None, (", ".join(fitting[:-1]), *fitting[-1:])))
    return InputError(
        f"{value} cannot learn {target}: {what}.",
        f"Use {option} {others}." if others else "Specify another --target.",
    )


def _as_number_or_word(word: str) -> tuple[float, str]:
    """What sorts 9 before 10, and both before words."""
    try:
        number = float(word)
    except ValueError:
        return inf, word
    return (number if isfinite(number) else inf), word
