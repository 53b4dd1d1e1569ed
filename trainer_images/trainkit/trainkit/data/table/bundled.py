"""The datasets that scikit-learn brings along, as CSV files like any other."""

import warnings
from pathlib import Path

import pandas as pd
from sklearn import datasets
from sklearn.utils import Bunch

from trainkit import run_environment
from trainkit.errors import InputError

CALIFORNIA = "california_housing"
LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "digits": datasets.load_digits,
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    CALIFORNIA: datasets.fetch_california_housing,
}
"""By name. All are there but `california_housing`, which is downloaded."""


def file(name: str, cache: Path) -> Path:
    """The dataset as a CSV file in the cache, made when it is not there; the last column is the target.

    Classes are names, so that a model answers "malignant" and not 0. Raises `InputError` where a download
    fails.
    """
    path = cache / "bundled" / f"{name}.csv"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{name}{run_environment.UNFINISHED_SUFFIX}")
        _frame(name, cache).to_csv(unfinished, index=False, lineterminator="\n")
        unfinished.replace(path)
    return path


def _frame(name: str, cache: Path) -> pd.DataFrame:
    bunch = _download(cache) if name == CALIFORNIA else LOADERS[name](as_frame=True)
    frame: pd.DataFrame = bunch.data
    target = bunch.target
    if "target_names" in bunch and len(bunch.target_names) > 1:
        target = bunch.target_names.astype(str)[target]
    return frame.assign(**{getattr(bunch.target, "name", None) or "target": target})


def _download(cache: Path) -> Bunch:
    folder = str(cache / "scikit_learn_data")
    try:
        # It warns that it tries a second time.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            return LOADERS[CALIFORNIA](as_frame=True, data_home=folder, n_retries=1)
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{CALIFORNIA} cannot be downloaded: {reason}.",
            "It needs the internet once. iris, wine, digits, breast_cancer and diabetes do not.",
        ) from None
