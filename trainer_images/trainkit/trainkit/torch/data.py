"""Image folders and tables as what a PyTorch model learns from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from torch import Tensor

from trainkit.data.image_data import ImageData, Part
from trainkit.data.image_folder import TRAIN, VALIDATION
from trainkit.data.table.preprocessing import category_names, number_names, transformer
from trainkit.data.tables import Table
from trainkit.torch.model import Scale, pixel_scale, standard_scale
from trainkit.torch.network import Shape


class Samples(Protocol):
    """One split. `target` is (n,): classes' numbers, or quantities."""

    target: Tensor

    def __len__(self) -> int:
        """How many there are."""

    def inputs(self, positions: NDArray[np.int64]) -> Tensor:
        """The raw inputs of the samples at these positions."""


class Pictures:
    """Pictures as (n, 3, size, size), 0 … 255: uint8, which a device gets as a quarter of the bytes."""

    def __init__(self, part: Part) -> None:
        self.target = torch.from_numpy(part.labels)
        self._part = part

    def __len__(self) -> int:
        """How many there are."""
        return len(self._part)

    def inputs(self, positions: NDArray[np.int64]) -> Tensor:
        """Read from the mapped file."""
        return torch.from_numpy(self._part.pixels(positions)).permute(0, 3, 1, 2)


class Columns:
    """Rows of a table as (n, numbers), float64: what its preprocessing makes of them."""

    def __init__(
        self, features: pd.DataFrame, target: NDArray[np.float64], preprocessing: ColumnTransformer
    ) -> None:
        self.target = torch.from_numpy(target)
        self._features = torch.from_numpy(preprocessing.transform(features))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._features)

    def inputs(self, positions: NDArray[np.int64]) -> Tensor:
        """Taken from memory."""
        return self._features[torch.from_numpy(positions)]


@dataclass(frozen=True)
class Data:
    """What a model learns from, and how its raw inputs and its target are scaled.

    Those of a table are scaled already, by its `preprocessing`.
    """

    source: ImageData | Table
    input_shape: Shape
    input_type: type[np.floating]
    """That of the saved model's input."""
    splits: Mapping[str, Samples]
    scale: Scale
    target_scale: Scale | None = None
    preprocessing: ColumnTransformer | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """() for a quantity."""
        return self.source.class_names

    @property
    def columns(self) -> tuple[str, ...]:
        """What each number is that a table's preprocessing gives; () for pictures."""
        return () if self.preprocessing is None else tuple(number_names(self.preprocessing))

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """Of a table whose categories become embeddings: what there is in each such column."""
        return {} if self.preprocessing is None else category_names(self.preprocessing)

    @property
    def train(self) -> Samples:
        """The samples to learn from."""
        return self.splits[TRAIN]

    @property
    def validation(self) -> Samples:
        """The samples that say when to stop and which weights are the best."""
        return self.splits[VALIDATION]


def of(source: ImageData | Table) -> Data:
    """The data for a model. What a table is preprocessed and scaled by is fitted on its training rows."""
    if isinstance(source, ImageData):
        shape = (3, source.size, source.size)
        parts = {split: Pictures(part) for split, part in source.parts.items()}
        return Data(source, shape, np.float32, parts, pixel_scale())
    train = source.splits[TRAIN]
    preprocessing = transformer(source.columns, source.impute, source.categories).fit(train.features)
    rows = {
        split: Columns(rows.features, rows.target, preprocessing) for split, rows in source.splits.items()
    }
    width = rows[TRAIN].inputs(np.arange(1)).shape[1]
    target = None if source.class_names else standard_scale(torch.from_numpy(train.target[:, None]))
    as_it_is = Scale(torch.zeros(1), torch.ones(1))
    return Data(source, (width,), np.float64, rows, as_it_is, target, preprocessing)
