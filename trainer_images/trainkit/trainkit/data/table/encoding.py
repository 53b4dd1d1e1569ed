"""A fitted preprocessing as data: what becomes of each column, for who has no scikit-learn."""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from trainkit.errors import InputError
from trainkit.inference.description import (
    Categories,
    Category,
    Date,
    Encoded,
    Index,
    Number,
    OneHot,
    Scaled,
    Table,
    Word,
)


def read_off(fitted: ColumnTransformer) -> Table:
    """The columns that a fitted `preprocessing.transformer` takes, and the numbers that it makes of them.

    Raises `InputError` for a step that `preprocessing.transformer` does not make.
    """
    columns: dict[str, Number | Date | Category] = {}
    encoding: list[Encoded] = []
    for name, step, taken in fitted.transformers_:
        names = [taken] if isinstance(taken, str) else list(taken)
        if not isinstance(step, Pipeline) or not all(isinstance(column, str) for column in names):
            raise _unknown(name)
        match step[-1]:
            case StandardScaler() as scaler:
                columns |= {column: _number_or_date(column, step) for column in names}
                encoding += _scaled(names, step, scaler)
            case OneHotEncoder() as encoder:
                columns |= _seen(names, encoder)
                encoding += _one_hot(names, encoder)
            case OrdinalEncoder() as encoder:
                columns |= _seen(names, encoder)
                encoding += [
                    Index(column=column, categories=_categories(values))
                    for column, values in zip(names, encoder.categories_, strict=True)
                ]
            case _:
                raise _unknown(name)
    order = [str(column) for column in fitted.feature_names_in_]
    return Table(columns=tuple(columns[name] for name in order if name in columns), encoding=tuple(encoding))


def _number_or_date(column: str, step: Pipeline) -> Number | Date:
    first = step[0]
    if isinstance(first, FunctionTransformer) and first.func is pd.to_datetime:
        return Date(name=column, format=first.kw_args["format"])
    return Number(name=column)


def _scaled(names: Sequence[str], step: Pipeline, scaler: StandardScaler) -> Iterator[Scaled]:
    imputers = [part for _, part in step.steps if isinstance(part, SimpleImputer)]
    missing: Sequence[float | None] = [None] * len(names)
    if imputers:
        # What a column is imputed with that had no value in the training rows.
        missing = np.nan_to_num(imputers[0].statistics_.astype(np.float64)).tolist()
    for name, value, mean, deviation in zip(names, missing, scaler.mean_, scaler.scale_, strict=True):
        yield Scaled(column=name, missing=value, mean=float(mean), deviation=float(deviation))


def _seen(names: Sequence[str], encoder: OneHotEncoder | OrdinalEncoder) -> dict[str, Category]:
    return {
        name: Category(name=name, values=tuple(word for word in _categories(values) if word is not None))
        for name, values in zip(names, encoder.categories_, strict=True)
    }


def _one_hot(names: Sequence[str], encoder: OneHotEncoder) -> Iterator[OneHot]:
    for position, name in enumerate(names):
        rare: Categories = ()
        # The encoder has the attribute only where it merges rare ones at all.
        infrequent = encoder.infrequent_categories_[position]
        if infrequent is not None:
            rare = _categories(infrequent)
        categories = _categories(encoder.categories_[position])
        yield OneHot(column=name, categories=tuple(c for c in categories if c not in rare), rare=rare)


def _categories(values: NDArray[np.generic]) -> Categories:
    return tuple(None if pd.isna(value) else cast(Word, value) for value in values.tolist())


def _unknown(step: str) -> InputError:
    return InputError(
        f"The step {step!r} of the preprocessing is not one that trainkit makes.",
        "Use trainkit.data.table.preprocessing.transformer.",
    )
