"""Samples of a scikit-learn model whose run has logged none: MLflow's input example."""

from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.models import Model
from sklearn.base import BaseEstimator, is_classifier

from trainkit.errors import InputError
from trainkit.inference.description import Category, Column, Description, Number, Table
from trainkit.models.samples import MOST, PROBABILITIES, QUANTITY, Samples, as_rows


def samples(model: BaseEstimator, folder: Path) -> Samples:
    """The rows of the example that is stored with MLflow's model in the folder, and the answers to them.

    Raises `InputError` where there is none that names its columns.
    """
    frame = _example(folder)
    classifies = is_classifier(model)
    if classifies and not hasattr(model, "predict_proba"):
        raise InputError(
            f"A {type(model).__name__} gives no probabilities.", "Use an estimator with predict_proba."
        )
    answers = model.predict_proba(frame) if classifies else model.predict(frame)
    described = Description(
        task="classification" if classifies else "regression",
        classes=tuple(map(str, model.classes_)) if classifies else (),
        input=Table(columns=tuple(_column(str(name), frame[name]) for name in frame)),
        output=PROBABILITIES if classifies else QUANTITY,
        framework="scikit-learn",
    )
    return Samples(described, as_rows(frame), np.asarray(answers, dtype=np.float64).reshape(len(frame), -1))


def _example(folder: Path) -> pd.DataFrame:
    saved = Model.load(str(folder))
    example = saved.load_input_example(str(folder)) if saved.saved_input_example_info else None
    if not isinstance(example, pd.DataFrame) or not len(example):
        raise InputError(
            "The run has logged neither samples of its model's answers nor an input example with columns.",
            "Log the model with input_example=FRAME, a few rows of a DataFrame.",
        )
    return example.head(MOST)


def _column(name: str, cells: pd.Series) -> Column:
    if pd.api.types.is_numeric_dtype(cells):
        return Number(name=name)
    return Category(name=name, values=tuple(sorted(map(str, cells.dropna().unique()))))
