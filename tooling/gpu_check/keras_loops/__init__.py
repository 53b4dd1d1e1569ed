"""Plain training loops of Keras models, and what else each of Keras's backends is asked in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import numpy as np
from numpy.typing import NDArray
from trainkit.keras import backend as keras_backend

from gpu_check.setting import Setting

Batch = tuple[NDArray[np.uint8], NDArray[np.int32]]
"""Pixels and labels."""


class Loops(Protocol):
    """A module of this package."""

    def use_precision(self, name: str) -> None:
        """Take float32 products and convolutions as `float32` or `TF32` from now on, else as a run does."""

    def placed(self, batch: Batch) -> Batch:
        """The batch on the device; what `plain` returns takes it as it takes others."""

    def plain(self, model: keras.Model) -> Callable[[Iterable[Batch]], None]:
        """Training as one writes it in a minute: it returns when all batches are done.

        The model's weights are used up: nothing else may be done with it.
        """

    def operations(self, model: keras.Model, batch: Batch) -> float:
        """Floating point operations of one training step."""

    @property
    def COUNTED(self) -> str:  # noqa: N802 (a constant of the module)
        """How they are counted."""

    def peak(self, precision: str, setting: Setting) -> float:
        """Operations a second of products of large matrices."""

    @property
    def memory(self) -> Callable[[Callable[[], float]], float] | None:
        """MB that the framework allocates at most in a call, beyond what it has before, if it can say."""

    def highest_memory(self) -> float:
        """MB of the card that the framework had at most, in this process."""


def of_process() -> Loops:
    """Those of the backend that Keras was imported with."""
    return cast(Loops, import_module(f"gpu_check.keras_loops.on_{keras.backend.backend()}"))


def by() -> str:
    """What figures of this process are of."""
    backend = keras_backend.of_process()
    return f"Keras {keras.__version__} on {backend.FRAMEWORK} {backend.version()}"


if TYPE_CHECKING:
    from gpu_check.keras_loops import on_jax, on_torch

    _ALL: tuple[Loops, ...] = (on_jax, on_torch)
