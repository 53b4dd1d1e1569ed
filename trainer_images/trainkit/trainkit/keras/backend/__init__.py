"""What differs between the backends of Keras: devices, determinism, input, and how a model is logged.

Everything else of trainkit's Keras code asks the backend of this process, `of_process()`, and imports no
framework itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

Batch = tuple[NDArray[np.generic], NDArray[np.int64], NDArray[np.float32]]
"""Inputs, labels and weights."""


@dataclass(frozen=True)
class Batches:
    """`make(number)` is called for 0 … `count` - 1, in this order. A sample is an array like `sample`."""

    count: int
    sample: NDArray[np.generic]
    make: Callable[[int], Batch]


class Backend(Protocol):
    """A module of this package."""

    @property
    def FRAMEWORK(self) -> str:  # noqa: N802 (a constant of the module)
        """Its name for people."""

    @property
    def JIT_COMPILE(self) -> bool:  # noqa: N802
        """Whether models are compiled by XLA or `torch.compile`."""

    def version(self) -> str:
        """The framework's."""

    def distribution(self) -> str:
        """The name that the framework is installed under."""

    def take_gpus(self) -> list[str]:
        """The names of the GPUs that this process computes on, made ready; before any model is made.

        Raises `InputError` where the framework sees none, and the run was given some.
        """

    def has_gpu(self) -> bool:
        """Whether this process computes on a GPU."""

    def make_deterministic(self) -> None:
        """From now on, an operation that does not give the same numbers twice is replaced or raises."""

    def seed(self, seed: int) -> None:
        """Seed what layers without a seed of their own draw from, besides their states."""

    def tags(self) -> dict[str, str]:
        """What else decides the last bits of the results, by the names of tags."""

    def dataset(self, batches: Batches) -> object:
        """What `fit`, `evaluate` and `predict` take, once; batches are made ahead in a thread."""

    def log_model(
        self,
        model: keras.Model,
        *,
        name: str,
        signature: "ModelSignature",
        pip_requirements: list[str],
        metadata: dict[str, object],
    ) -> None:
        """Log it to the active MLflow run, in the flavor that suits the backend."""


def of_process() -> Backend:
    """The backend that Keras was imported with."""
    return cast(Backend, import_module(f"trainkit.keras.backend.on_{keras.backend.backend()}"))


if TYPE_CHECKING:
    from trainkit.keras.backend import on_jax, on_tensorflow, on_torch

    _ALL: tuple[Backend, ...] = (on_jax, on_tensorflow, on_torch)
