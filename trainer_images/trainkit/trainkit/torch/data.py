"""Image folders and tables as what a PyTorch model learns from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainkit.data import tables
from trainkit.data.image_data import ImageData, Part
from trainkit.data.image_folder import TRAIN, VALIDATION
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
    """Rows of a table as (n, columns), float64."""

    def __init__(self, rows: tables.Rows) -> None:
        self.target = torch.from_numpy(rows.target)
        self._features = torch.from_numpy(rows.features)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._features)

    def inputs(self, positions: NDArray[np.int64]) -> Tensor:
        """Taken from memory."""
        return self._features[torch.from_numpy(positions)]


@dataclass(frozen=True)
class Data:
    """What a model learns from, and how its raw inputs and its target are scaled."""

    source: ImageData | Table
    input_shape: Shape
    input_type: type[np.floating]
    """That of the saved model's input."""
    splits: Mapping[str, Samples]
    scale: Scale
    target_scale: Scale | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """() for a quantity."""
        return self.source.class_names

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of a table's inputs, in order; () for pictures."""
        return self.source.columns if isinstance(self.source, Table) else ()

    @property
    def train(self) -> Samples:
        """The samples to learn from."""
        return self.splits[TRAIN]

    @property
    def validation(self) -> Samples:
        """The samples that say when to stop and which weights are the best."""
        return self.splits[VALIDATION]


def of(source: ImageData | Table) -> Data:
    """The data for a model. The scales of a table are those of its training rows."""
    if isinstance(source, ImageData):
        shape = (3, source.size, source.size)
        parts = {split: Pictures(part) for split, part in source.parts.items()}
        return Data(source, shape, np.float32, parts, pixel_scale())
    rows = {split: Columns(rows) for split, rows in source.splits.items()}
    train = source.splits[TRAIN]
    target = None if source.class_names else standard_scale(torch.from_numpy(train.target[:, None]))
    scale = standard_scale(torch.from_numpy(train.features))
    return Data(source, (len(source.columns),), np.float64, rows, scale, target)
