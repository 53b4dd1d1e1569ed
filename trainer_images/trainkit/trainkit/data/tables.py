"""CSV files to learn from: columns typed, rows split, and each split an input of an MLflow run."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.data import from_pandas
from mlflow.data.pandas_dataset import PandasDataset
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from trainkit.data.image_folder import TRAIN, VALIDATION
from trainkit.data.table import columns as table_columns
from trainkit.data.table import learnable
from trainkit.data.table.columns import Column
from trainkit.data.table.preprocessing import ONE_HOT
from trainkit.data.table.selection import LAST, NONE
from trainkit.errors import InputError


@dataclass(frozen=True)
class Rows:
    """The rows of one split. `numbers` says where they are in the file: the first below the header is 1.

    `features` has the columns that are learnt from, as the model gets them; missing cells are NaN. `target`
    is (n,): classes' numbers, or the quantity itself.
    """

    numbers: NDArray[np.int64]
    features: pd.DataFrame = field(repr=False)
    target: NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.numbers)


@dataclass(frozen=True)
class Table:
    """All of a file. `class_names[number]` is what a class's number means; a quantity has none.

    `columns` are all that the file has, `unlabelled` how many rows have no target and are left out.
    """

    name: str
    origin: str
    digest: str
    columns: tuple[Column, ...]
    target: str
    class_names: tuple[str, ...]
    impute: str
    unlabelled: int
    splits: Mapping[str, Rows]
    categories: str = ONE_HOT
    """What becomes of a category: `one-hot`, or an `embedding` of a network's."""

    def __str__(self) -> str:
        """One line for the log: name, what is learnt from what, sizes, digest."""
        kind = f"{len(self.class_names)} classes" if self.class_names else "a quantity"
        used = len(table_columns.features(self.columns))
        names = "1 column" if used == 1 else f"{used} columns"
        sizes = ", ".join(f"{len(rows)} {split}" for split, rows in self.splits.items())
        return f"{self.name}: {self.target} ({kind}) from {names}, {sizes}, digest {self.digest}"

    def words(self, target: NDArray[np.generic]) -> NDArray[np.generic]:
        """Classes by name; quantities as they are."""
        return np.array(self.class_names)[target.astype(np.int64)] if self.class_names else target


def load(
    path: Path,
    *,
    validation_share: float,
    seed: int,
    target: str = LAST,
    drop: str = NONE,
    categorical: str = NONE,
    impute: str = "median",
    categories: str = ONE_HOT,
    classes: bool | None = None,
    origin: str | None = None,
) -> Table:
    """Read the file; hold `validation_share` of its rows back, of classes the same share of each.

    `target` is the column to learn, `last` the last one; `drop` are columns to leave out and `categorical`
    those whose numbers are names, with commas between. `classes` says that classes are learnt, or with False
    a quantity; None, that it is seen in the column. Raises `InputError` for what cannot be learnt from,
    naming columns and lines.
    """
    found = learnable.read(
        path, target=target, drop=drop, categorical=categorical, impute=impute, classes=classes
    )
    goal, features = found.target, found.features
    train, validation = _split(goal.values, validation_share, seed, stratify=bool(goal.class_names))
    numbers = features.index.to_numpy(dtype=np.int64) + 1
    return Table(
        name=path.stem,
        origin=origin or str(path),
        digest=hashlib.sha256(path.read_bytes()).hexdigest()[:8],
        columns=found.columns,
        target=found.name,
        class_names=goal.class_names,
        impute=impute,
        unlabelled=found.unlabelled,
        splits={
            split: Rows(numbers[rows], features.iloc[rows].reset_index(drop=True), goal.values[rows])
            for split, rows in ((TRAIN, train), (VALIDATION, validation))
        },
        categories=categories,
    )


def mlflow_input(table: Table, split: str) -> PandasDataset:
    """One split as what `mlflow.log_input` takes.

    Its digest is that of the whole file, with the split's name: a server keeps one input of each digest.
    """
    rows = table.splits[split]
    frame = rows.features.assign(**{table.target: table.words(rows.target)})
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
    frame = pd.DataFrame({"row": rows.numbers, "true": table.words(rows.target)})
    if table.class_names:
        guessed = answers.argmax(axis=1)
        sure = answers.max(axis=1)
        frame["predicted"], frame["probability"] = table.words(guessed), sure.round(4)
        badness = np.where(guessed == rows.target, 0.0, sure)
    else:
        frame["predicted"] = answers[:, 0]
        frame["error"] = frame["predicted"] - frame["true"]
        badness = frame["error"].abs().to_numpy()
    text: str = frame.iloc[np.argsort(-badness, kind="stable")].to_csv(index=False)
    return text


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
        raise InputError(f"{len(values)} rows are too few for {classes} classes.", "Add rows.")
    train, held = train_test_split(rows, test_size=size, random_state=seed, stratify=values)
    return np.sort(train), np.sort(held)
