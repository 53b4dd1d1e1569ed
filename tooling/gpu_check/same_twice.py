"""Whether a training gives the same numbers twice, and after it was resumed from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeVar

from gpu_check.record import Finding, checked

Model = TypeVar("Model")
History = Sequence[Mapping[str, float]]


def findings(epochs: Callable[[int, str], tuple[History, Model]], by: str) -> Generator[Finding, None, Model]:
    """`epochs(count, folder)` trains to that epoch from the checkpoint in the folder, if there is one.

    It returns the figures of each epoch, without times, and the model. The generator returns the model of the
    first training.
    """
    once, model = epochs(3, "once")
    twice, _ = epochs(3, "twice")
    yield checked("three epochs twice: the same to the last bit", once == twice, _loss(twice), by)
    epochs(1, "resumed")
    resumed, _ = epochs(3, "resumed")
    yield checked(
        "a checkpoint taken and resumed: the same to the last bit", once == resumed, _loss(resumed), by
    )
    return model


def _loss(history: History) -> str:
    return f"loss {history[-1]['loss']!r}"
