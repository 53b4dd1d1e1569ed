"""What is to be logged, and what logs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from trainkit.inference.cells import Row
from trainkit.inference.predictor import Answers, Pixels

from model_server.served import Served

Role: TypeAlias = Literal["champion", "shadow"]
"""The champion's answer is what the client got; a shadow was asked beside it."""
OFF, OK = "off", "ok"
Given: TypeAlias = bytes | Pixels | Row
"""An image's file, an image that was sent as numbers, or a row."""
_ROW = 512


class Asked(NamedTuple):
    """A request, and what one model said to it."""

    time: float
    """Of the answer, in seconds since 1970."""
    request: str
    """The same for the champion and for a shadow."""
    role: Role
    served: Served
    inputs: Sequence[Given]
    answers: Answers
    latency_s: float

    @property
    def size(self) -> int:
        """About how many bytes it holds until it is written."""
        embedding = 0 if self.answers.embedding is None else self.answers.embedding.nbytes
        return self.answers.values.nbytes + embedding + sum(map(_size, self.inputs))


def _size(given: Given) -> int:
    if isinstance(given, np.ndarray):
        return given.nbytes
    return _ROW + (len(given) if isinstance(given, bytes) else 0)


class PredictionLog(Protocol):
    """Where it goes. `record` neither waits nor raises."""

    errors: int
    """How often writing has failed."""
    dropped: int
    """Answers that are in no log, since too many waited to be written."""

    @property
    def status(self) -> str:
        """`ok`, `off`, or `error: ` and what is wrong now."""

    def record(self, asked: Asked) -> None:
        """Log it, soon."""

    def start(self) -> None:
        """Write from now on."""

    def stop(self) -> None:
        """Write what is left; wait for that a moment."""


class NoLog:
    """Nothing is logged."""

    errors = dropped = 0
    status = OFF

    def record(self, asked: Asked) -> None:
        """Nothing."""

    def start(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""
