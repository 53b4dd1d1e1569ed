"""Columns of a table as numbers that an estimator or a network takes: scikit-learn's ColumnTransformer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from trainkit.data.table.cells import MISSING, UNKNOWN
from trainkit.data.table.columns import Column, features
from trainkit.errors import InputError

IMPUTE = ("median", "mean", "most_frequent", "none")
CATEGORIES = (ONE_HOT, EMBEDDING) = ("one-hot", "embedding")
"""What becomes of a category: a number for each that there is, or one number to look a vector up by."""
MOST_CATEGORIES = 20
"""With more categories in a column, the rarest are one."""
SKOPS_TYPES = ("numpy.asarray", "numpy.dtype", "pandas.DataFrame", "pandas.Series", "pandas.to_datetime")
"""What of a preprocessing skops asks to be trusted: functions that make numbers of dates."""
# What a date that is missing becomes as a number.
_NOT_A_TIME = float(np.iinfo(np.int64).min)


def transformer(
    columns: Sequence[Column], impute: str = "median", categories: str = ONE_HOT
) -> ColumnTransformer:
    """Takes a table of the columns that are learnt from, by name, and gives float64.

    Missing numbers are imputed with the median, mean or most frequent value of the training rows (`none`:
    they stay missing), then scaled to a mean of 0 and a deviation of 1; so are dates, as seconds. Categories
    are one-hot: a missing one is one of its own, one that training has not seen is none of them, or is with
    the rarest where those are one. For `embedding` each column of categories is a number instead, and they
    are last; a missing one is `MISSING` where training has seen such, else `UNKNOWN`.
    """
    for option, value, known in (("impute", impute, IMPUTE), ("categories", categories, CATEGORIES)):
        if value not in known:
            raise InputError(f"--{option} is {value!r}.", f"Use one of {', '.join(known)}.")
    encoder = _one_hot if categories == ONE_HOT else _numbered
    used = features(columns)
    numeric = [column.name for column in used if column.kind == "number"]
    codes = [column.name for column in used if column.kind == "category" and column.coded]
    steps: list[tuple[str, object, object]] = []
    if numeric:
        steps.append(("numbers", make_pipeline(_floats(), *_imputer(impute), StandardScaler()), numeric))
    # By number: scikit-learn takes no __ in a name of a step.
    dates = [column for column in used if column.kind == "date"]
    steps += [(f"date {n}", _dates(column, impute), column.name) for n, column in enumerate(dates, 1)]
    if codes:
        steps.append(("codes", make_pipeline(_floats(), encoder()), codes))
    words = [column.name for column in used if column.kind == "category" and not column.coded]
    steps += [(f"words {n}", _words(encoder()), name) for n, name in enumerate(words, 1)]
    return ColumnTransformer(steps, sparse_threshold=0)


def number_names(fitted: ColumnTransformer) -> list[str]:
    """What each of its numbers is: a column, or with one-hot a column and one of its categories."""
    named: list[str] = []
    for _, step, columns in fitted.transformers_:
        if isinstance(step, Pipeline):
            names = [columns] if isinstance(columns, str) else list(columns)
            last = step[-1]
            named.extend(last.get_feature_names_out(names) if isinstance(last, OneHotEncoder) else names)
    return named


def category_names(fitted: ColumnTransformer) -> dict[str, tuple[str, ...]]:
    """By column, what the numbers of its categories mean, from 0; {} with one-hot."""
    named: dict[str, tuple[str, ...]] = {}
    for _, step, columns in fitted.transformers_:
        if isinstance(step, Pipeline) and isinstance(step[-1], OrdinalEncoder):
            names = [columns] if isinstance(columns, str) else columns
            for name, seen in zip(names, step[-1].categories_, strict=True):
                named[name] = tuple(str(category) for category in seen if not pd.isna(category))
    return named


def signature(raw: pd.DataFrame, answers: NDArray[np.generic] | pd.DataFrame) -> ModelSignature:
    """What a model takes that begins with a preprocessing: the raw columns, and what it answers with."""
    # MLflow would take no whole number for a number, and none with a fraction for a whole one.
    inputs = [ColSpec(AnyType() if is_numeric_dtype(raw[name]) else DataType.string, name) for name in raw]
    return ModelSignature(Schema(inputs), infer_signature(raw, answers).outputs)


def _floats() -> FunctionTransformer:
    """Whole numbers, and None for one that is missing, are taken too."""
    return FunctionTransformer(np.asarray, kw_args={"dtype": "float64"}, feature_names_out="one-to-one")


def _words(encoder: OneHotEncoder | OrdinalEncoder) -> Pipeline:
    """What is missing is None to some and NaN to others: here it is NaN."""
    as_words = FunctionTransformer(pd.Series, kw_args={"dtype": "str"})
    return make_pipeline(as_words, FunctionTransformer(pd.DataFrame), encoder)


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(
        max_categories=MOST_CATEGORIES, handle_unknown="infrequent_if_exist", sparse_output=False
    )


def _numbered() -> OrdinalEncoder:
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=UNKNOWN, encoded_missing_value=MISSING
    )


def _imputer(impute: str) -> list[SimpleImputer]:
    # A column that has no value in the training rows stays, so that the numbers of columns agree.
    return [] if impute == "none" else [SimpleImputer(strategy=impute, keep_empty_features=True)]


def _dates(column: Column, impute: str) -> Pipeline:
    """Text to seconds since 1970: by functions of pandas and NumPy, so that a model needs no code of ours."""
    return make_pipeline(
        FunctionTransformer(
            pd.to_datetime, kw_args={"format": column.date_format, "errors": "coerce", "utc": True}
        ),
        FunctionTransformer(pd.DataFrame),
        FunctionTransformer(np.asarray, kw_args={"dtype": "datetime64[s]"}),
        _floats(),
        SimpleImputer(
            strategy="median" if impute == "none" else impute,
            missing_values=_NOT_A_TIME,
            keep_empty_features=True,
        ),
        StandardScaler(),
    )
