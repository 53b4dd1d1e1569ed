"""The datasets that scikit-learn brings along, as tables, and as inputs of an MLflow run."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import sklearn
from mlflow.data import from_pandas
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.pandas_dataset import PandasDataset
from sklearn.datasets import load_breast_cancer, load_digits

LOADERS = {"breast_cancer": load_breast_cancer, "digits": load_digits}


@dataclass(frozen=True)
class LabelledTable:
    """Features, one row a sample, and the class name of each row."""

    name: str
    features: pd.DataFrame
    target: pd.Series

    @cached_property
    def class_names(self) -> list[str]:
        """Sorted: the order of a classifier's `classes_` and of its probability columns."""
        return sorted(self.target.unique())

    @cached_property
    def digest(self) -> str:
        """The first 8 hex digits of a SHA-256 of names, values and labels: the same on any machine."""
        sha = hashlib.sha256()
        sha.update("\n".join([*self.features.columns, *self.target]).encode())
        sha.update(np.ascontiguousarray(self.features, dtype="<f8").tobytes())
        return sha.hexdigest()[:8]

    def __str__(self) -> str:
        """One line for the log: name, size and digest."""
        rows, columns = self.features.shape
        classes = len(self.class_names)
        return f"{self.name}: {rows} samples, {columns} features, {classes} classes, digest {self.digest}"


def load_bundled(name: str) -> LabelledTable:
    """Load `digits` or `breast_cancer`, which need no download.

    Labels are class names, not numbers, so that a model answers "malignant" and not 0.
    """
    if name not in LOADERS:
        raise ValueError(f"no bundled dataset {name!r}: choose from {', '.join(LOADERS)}")
    bunch = LOADERS[name](as_frame=True)
    labels = bunch.target_names.astype(str)[bunch.target]
    return LabelledTable(name, bunch.data, pd.Series(labels, index=bunch.data.index, name="target"))


def mlflow_input(table: LabelledTable) -> PandasDataset:
    """The table as what `mlflow.log_input` takes: its name, schema, size, digest and origin."""
    loader = f"sklearn.datasets.{LOADERS[table.name].__name__}"
    source = CodeDatasetSource({"loader": loader, "scikit-learn": sklearn.__version__})
    frame = table.features.assign(target=table.target)
    return from_pandas(frame, source, targets="target", name=table.name, digest=table.digest)
