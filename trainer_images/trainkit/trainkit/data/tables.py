"""CSV files as numbers to learn from: checked, split, and an input of an MLflow run."""

import csv
import difflib
import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.data import from_pandas
from mlflow.data.pandas_dataset import PandasDataset
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from trainkit.data.image_folder import TRAIN, VALIDATION
from trainkit.errors import InputError

# The word for the last column, where no column has that name.
LAST = "last"
# With more classes than this, and most values different, the target is a quantity.
_MOST_CLASSES = 50
_NO_CSV = (
    UnicodeDecodeError,
    csv.Error,
    pd.errors.EmptyDataError,
    pd.errors.ParserError,
    pd.errors.ParserWarning,
)


@dataclass(frozen=True)
class Rows:
    """The rows of one split. `numbers` says where they are in the file: the first below the header is 1.

    `features` is (n, columns). `target` is (n,): classes' numbers, or the quantity itself.
    """

    numbers: NDArray[np.int64]
    features: NDArray[np.float64] = field(repr=False)
    target: NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.numbers)


@dataclass(frozen=True)
class Table:
    """All of a file. `class_names[number]` is what a class's number means; a quantity has none."""

    name: str
    origin: str
    digest: str
    columns: tuple[str, ...]
    target: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Rows]

    def __str__(self) -> str:
        """One line for the log: name, what is learnt from what, sizes, digest."""
        kind = f"{len(self.class_names)} classes" if self.class_names else "a quantity"
        columns = "1 column" if len(self.columns) == 1 else f"{len(self.columns)} columns"
        sizes = ", ".join(f"{len(rows)} {split}" for split, rows in self.splits.items())
        return f"{self.name}: {self.target} ({kind}) from {columns}, {sizes}, digest {self.digest}"


def load(
    path: Path, *, target: str, classes: bool, validation_share: float, seed: int, origin: str | None = None
) -> Table:
    """Read the file; hold `validation_share` of its rows back, for `classes` the same share of each class.

    `target` is the column to learn, `last` the last one. The other columns have to be numbers. Raises
    `InputError` for what cannot be learnt from, naming columns and lines.
    """
    raw, frame, column = _read(path, target, labels=classes)
    features, target_column = frame.drop(columns=column), frame[column]
    _refuse_missing(path, frame)
    if features.empty:
        raise InputError(
            f"{path.name} has no column besides {column}.", "It takes one at least to learn from."
        )
    numbers = _numbers(
        path, features, "Leave the column out, or write it as numbers: a column of 0 and 1 for each word."
    )
    names: tuple[str, ...] = ()
    if classes:
        names, values = _classes(column, target_column)
    else:
        values = _numbers(path, target_column.to_frame(), "For classes use --loss CrossEntropyLoss.")[:, 0]
        if values.min() == values.max():
            raise InputError(f"Column {column!r} has the same value everywhere.", "Specify another --target.")
    train, validation = _split(values, validation_share, seed, stratify=classes)
    return Table(
        name=path.stem,
        origin=origin or str(path),
        digest=hashlib.sha256(raw).hexdigest()[:8],
        columns=tuple(features.columns),
        target=column,
        class_names=names,
        splits={
            split: Rows(rows + 1, numbers[rows], values[rows])
            for split, rows in ((TRAIN, train), (VALIDATION, validation))
        },
    )


def mlflow_input(table: Table, split: str) -> PandasDataset:
    """One split as what `mlflow.log_input` takes.

    Its digest is that of the whole file, with the split's name: a server keeps one input of each digest.
    """
    rows = table.splits[split]
    frame = pd.DataFrame(rows.features, columns=table.columns)
    frame[table.target] = _words(table, rows.target)
    digest = f"{table.digest}-{split}"
    return from_pandas(frame, table.origin, targets=table.target, name=table.name, digest=digest)


def log_inputs(table: Table) -> None:
    """Log every split as an input of the active MLflow run."""
    # MLflow warns of an address being an address in two ways.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        for split in table.splits:
            mlflow.log_input(mlflow_input(table, split), context="training" if split == TRAIN else split)


def predictions(table: Table, split: str, answers: NDArray[np.floating]) -> str:
    """The rows of a split with truth and answer as CSV text, the worst mistakes first.

    `answers` are probabilities, (n, classes), or quantities, (n, 1).
    """
    rows = table.splits[split]
    frame = pd.DataFrame({"row": rows.numbers, "true": _words(table, rows.target)})
    if table.class_names:
        guessed = answers.argmax(axis=1)
        sure = answers.max(axis=1)
        frame["predicted"], frame["probability"] = _words(table, guessed), sure.round(4)
        badness = np.where(guessed == rows.target, 0.0, sure)
    else:
        frame["predicted"] = answers[:, 0]
        frame["error"] = frame["predicted"] - frame["true"]
        badness = frame["error"].abs().to_numpy()
    text: str = frame.iloc[np.argsort(-badness, kind="stable")].to_csv(index=False)
    return text


def _words(table: Table, target: NDArray[np.generic]) -> NDArray[np.generic]:
    """Classes by name; quantities as they are."""
    return np.array(table.class_names)[target.astype(np.int64)] if table.class_names else target


def _read(path: Path, target: str, *, labels: bool) -> tuple[bytes, pd.DataFrame, str]:
    """The bytes and the table of the file, and its column to learn: text as it is written, with `labels`."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
        header = text.splitlines()[:1]
        separator = max(",;\t", key="".join(header).count)
        names = [name.strip() for row in csv.reader(header, delimiter=separator) for name in row]
        # Of the columns as pandas names them.
        column = _target_column(path, list(_parse(text, separator, rows=0).columns), target)
        frame = _parse(text, separator, labels=column if labels else None)
    except _NO_CSV as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"{path.name} is no CSV file: {reason}.",
            "It takes text in UTF-8: a line of column names, then a line for each sample.",
        ) from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path.name} has two columns {twice[0]!r}.", "Rename one of them.")
    if len(frame) < 2:
        raise InputError(f"{path.name} has {len(frame)} rows below its header.", "Add samples.")
    return raw, frame, column


def _parse(text: str, separator: str, *, labels: str | None = None, rows: int | None = None) -> pd.DataFrame:
    """The table, or some rows of it. Empty cells alone are missing; the column `labels` is text."""
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            skipinitialspace=True,
            # Else pandas takes the first column away as an index where rows are longer than the header.
            index_col=False,
            # NA, None and null may be names of classes, and 001 is another one than 1.
            keep_default_na=False,
            na_values=[""],
            dtype={labels: str} if labels else None,
            nrows=rows,
        )
    if labels:
        frame[labels] = frame[labels].str.strip().replace("", None)
    return frame


def _target_column(path: Path, columns: Sequence[str], target: str) -> str:
    if target in columns:
        return target
    if target == LAST:
        return columns[-1]
    near = difflib.get_close_matches(target, columns, n=1)
    shown = ", ".join(columns[:10]) + (", …" if len(columns) > 10 else "")
    raise InputError(
        f"{path.name} has no column {target!r}.", f"Did you mean {near[0]}?" if near else f"It has {shown}."
    )


def _refuse_missing(path: Path, frame: pd.DataFrame) -> None:
    missing = frame.isna()
    count = int(missing.to_numpy().sum())
    if count:
        column = str(missing.any().idxmax())
        line = int(missing[column].idxmax()) + 1
        raise InputError(
            f"{path.name} lacks {count} value{'s' if count > 1 else ''}, the first of column {column!r} "
            f"in row {line}.",
            "Fill them in, or leave their rows out.",
        )


def _numbers(path: Path, frame: pd.DataFrame, hint: str) -> NDArray[np.float64]:
    numbers = np.empty(frame.shape, dtype=np.float64)
    for position, column in enumerate(frame.columns):
        numbers[:, position] = pd.to_numeric(frame[column], errors="coerce")
    unfit = ~np.isfinite(numbers)
    if unfit.any():
        columns = [str(frame.columns[position]) for position in np.flatnonzero(unfit.any(axis=0))]
        row = int(unfit.any(axis=1).argmax())
        first = str(frame.columns[int(unfit[row].argmax())])
        more = f"; {len(columns)} columns are like this" if len(columns) > 1 else ""
        raise InputError(
            f"{path.name}: column {first!r} has {str(frame[first].iloc[row])!r} in row {row + 1}, "
            f"which is no number{more}.",
            hint,
        )
    return numbers


def _classes(column: str, column_values: pd.Series) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    words = sorted(set(column_values), key=_as_number_or_word)
    numbers = column_values.map({word: number for number, word in enumerate(words)}).to_numpy()
    are_numbers = all(_as_number_or_word(word)[0] != inf for word in words)
    if len(words) > _MOST_CLASSES and len(words) > len(column_values) / 2 and are_numbers:
        raise InputError(
            f"Column {column!r} has {len(words)} different numbers: a quantity, not classes.",
            "For a quantity use --loss MSELoss; or name another --target.",
        )
    if len(words) < 2:
        raise InputError(
            f"Column {column!r} has the same value everywhere.", "A classifier needs two classes."
        )
    counts = np.bincount(numbers)
    if counts.min() < 2:
        rare = words[int(counts.argmin())]
        raise InputError(
            f"Class {rare!s} of column {column!r} has one row.", "It takes two at least: train, validation."
        )
    return tuple(words), numbers.astype(np.float64)


def _as_number_or_word(word: str) -> tuple[float, str]:
    """What sorts 9 before 10, and both before words."""
    try:
        number = float(word)
    except ValueError:
        return inf, word
    return (number if isfinite(number) else inf), word


def _split(
    values: NDArray[np.float64], share: float, seed: int, *, stratify: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = np.arange(len(values))
    if not stratify:
        train, held = train_test_split(rows, test_size=share, random_state=seed)
        return np.sort(train), np.sort(held)
    classes = len(np.unique(values))
    # scikit-learn wants as many rows as classes on either side.
    size = max(round(share * len(values)), classes)
    if len(values) - size < classes:
        raise InputError(f"{len(values)} rows are too few for {classes} classes.", "Add samples.")
    train, held = train_test_split(rows, test_size=size, random_state=seed, stratify=values)
    return np.sort(train), np.sort(held)
