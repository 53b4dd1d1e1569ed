"""A CSV file as what can be learnt: its columns typed, its target classes or a quantity, or an error.

The host imports this too, to refuse before a run what the run would refuse.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from trainkit.data.table import columns as table_columns
from trainkit.data.table import csv_file
from trainkit.data.table import target as table_target
from trainkit.data.table.columns import Column
from trainkit.data.table.selection import LAST, NONE, select
from trainkit.data.table.target import Target
from trainkit.errors import InputError


@dataclass(frozen=True)
class Learnable:
    """The rows that have a target. Their index counts those of the file, from 0, and has gaps.

    `columns` are all that the file has, `features` those that are learnt from, and `name` is the target's;
    `unlabelled` is how many rows were left out.
    """

    columns: tuple[Column, ...]
    name: str
    target: Target
    features: pd.DataFrame = field(repr=False)
    unlabelled: int


def read(
    path: Path,
    *,
    target: str = LAST,
    drop: str = NONE,
    categorical: str = NONE,
    impute: str = "median",
    classes: bool | None = None,
    as_classes: str = table_target.AS_CLASSES,
    as_quantity: str = table_target.AS_QUANTITY,
) -> Learnable:
    """What is learnt from a file. `classes` says what the target is; None, that it is seen in its cells.

    `as_classes` and `as_quantity` are the options that would say so, for hints.
    Raises `InputError` for what cannot be learnt from, naming columns and lines, and with `impute` none for
    missing cells.
    """
    frame = csv_file.read(path)
    chosen = select(list(frame.columns), file=path.name, target=target, drop=drop, categorical=categorical)
    described = table_columns.describe(frame, chosen.target, drop=chosen.drop, categorical=chosen.categorical)
    cells = frame[chosen.target]
    if classes is None:
        classes = table_target.are_classes(cells)
    learnt = cells[~(cells.isna() if classes else table_columns.is_missing(cells))]
    if len(learnt) < 2:
        raise InputError(f"Column {chosen.target!r} of {path.name} is empty.", "Specify another --target.")
    goal = (
        table_target.classes(learnt, chosen.target, as_quantity)
        if classes
        else table_target.quantity(learnt, chosen.target, path, as_classes)
    )
    features = table_columns.typed(frame.loc[learnt.index], described, path)
    if impute == NONE:
        _refuse_missing(features, path)
    return Learnable(described, chosen.target, goal, features, len(cells) - len(learnt))


def _refuse_missing(features: pd.DataFrame, path: Path) -> None:
    missing = features.isna()
    count = int(missing.to_numpy().sum())
    if count:
        column = str(missing.any().idxmax())
        line = csv_file.line_of(path, int(missing[column].idxmax()))
        raise InputError(
            f"{path.name} lacks {count:,} value{'s' if count > 1 else ''}, the first of column {column!r} "
            f"in line {line}.",
            "Fill them in, use --impute median, or leave columns out with --drop.",
        )
