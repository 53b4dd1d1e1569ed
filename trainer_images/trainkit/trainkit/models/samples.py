"""Raw inputs of a run's validation split, and the model's answers to them: what an export is compared with.

They are one artifact of the run, together with what the inputs are. It has no path and no name of a file.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import TypeAdapter, ValidationError

from trainkit.data.brightness import FULL
from trainkit.data.image_data import ImageData
from trainkit.data.image_folder import TRAIN, VALIDATION
from trainkit.data.table.columns import Column, features
from trainkit.data.tables import Rows, Table
from trainkit.errors import InputError
from trainkit.inference import description
from trainkit.inference.description import Category, Date, Description, Images, Number

ARTIFACT = "model_samples.npz"
MOST = 16
PROBABILITIES, QUANTITY = "probabilities", "quantity"
"""What an exporter calls the output of the graph."""
_UNNAMED = "unknown"  # what a model was exported from is said by its exporter

Row = dict[str, float | str | None]
"""Cells by column; None is a missing one."""
_ROWS = TypeAdapter(list[Row])


@dataclass(frozen=True)
class Samples:
    """Raw inputs, and the answers to them: probabilities, (n, classes), or quantities, (n, 1).

    Inputs are pictures, (n, size, size, 3), uint8, or rows. `description` says what they and the answers are.
    """

    description: Description
    inputs: NDArray[np.uint8] | list[Row]
    answers: NDArray[np.floating]


def positions(count: int) -> NDArray[np.int64]:
    """Where the samples are among so many: spread evenly, since classes may lie side by side."""
    return np.unique(np.linspace(0, count - 1, min(MOST, count)).astype(np.int64))


def log_images(data: ImageData, answers: ArrayLike) -> None:
    """Log samples to the active MLflow run; `answers`, (n, classes), are those to `images_of(data)`."""
    white = data.white or FULL
    described = Description(
        task="classification",
        classes=data.class_names,
        input=Images(size=data.size, layout="NHWC", white_integers=white.integers, white_floats=white.floats),
        output=PROBABILITIES,
        framework=_UNNAMED,
    )
    log(Samples(described, images_of(data), np.asarray(answers)))


def images_of(data: ImageData) -> NDArray[np.uint8]:
    """Some pictures of the validation split."""
    return data.validation.pixels(positions(len(data.validation)))


def log_rows(table: Table, answers: ArrayLike) -> None:
    """Log samples to the active MLflow run.

    `answers` are those to `rows_of(table)`: probabilities, (n, classes), or quantities, (n,).
    """
    frame = rows_of(table)
    described = Description(
        task="classification" if table.class_names else "regression",
        classes=table.class_names,
        target=table.target,
        input=description.Table(
            columns=tuple(_column(column, table.splits[TRAIN]) for column in features(table.columns))
        ),
        output=PROBABILITIES if table.class_names else QUANTITY,
        framework=_UNNAMED,
    )
    numbers = np.asarray(answers, dtype=np.float64).reshape(len(frame), -1)
    log(Samples(described, as_rows(frame), numbers))


def rows_of(table: Table) -> pd.DataFrame:
    """Some rows of the validation split, as a model takes them."""
    features = table.splits[VALIDATION].features
    return features.iloc[positions(len(features))]


def as_rows(frame: pd.DataFrame) -> list[Row]:
    """Each row by the names of its columns."""
    return [
        {str(name): None if pd.isna(cell) else cell for name, cell in row.items()}
        for row in frame.astype(object).to_dict(orient="records")
    ]


def log(samples: Samples) -> None:
    """Log samples to the active MLflow run."""
    arrays = {"description": np.array(samples.description.text()), "answers": samples.answers}
    if isinstance(samples.inputs, list):
        arrays["rows"] = np.array(json.dumps(samples.inputs))
    else:
        arrays["pixels"] = samples.inputs
    with TemporaryDirectory() as folder:
        path = Path(folder) / ARTIFACT
        np.savez_compressed(path, allow_pickle=False, **arrays)
        mlflow.log_artifact(str(path))


def read(content: bytes) -> Samples:
    """The samples in an artifact. Raises `InputError` where it is damaged."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            described = Description.model_validate_json(str(arrays["description"]))
            inputs = arrays["pixels"] if "pixels" in arrays else _ROWS.validate_json(str(arrays["rows"]))
            answers = np.asarray(arrays["answers"], dtype=np.float64)
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, ValidationError):
        raise InputError(f"The run's {ARTIFACT} cannot be read.", "It was damaged or replaced.") from None
    if answers.ndim != 2 or len(answers) != len(inputs) or not len(inputs):
        raise InputError(f"The run's {ARTIFACT} is incomplete.", "It was damaged or replaced.")
    return Samples(described, inputs, answers)


def _column(column: Column, train: Rows) -> Number | Date | Category:
    if column.kind == "number":
        return Number(name=column.name)
    if column.kind == "date":
        return Date(name=column.name, format=column.date_format)
    return Category(name=column.name, values=tuple(sorted(train.features[column.name].dropna().unique())))
