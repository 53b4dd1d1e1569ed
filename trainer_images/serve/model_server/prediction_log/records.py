"""What was asked and answered, as rows of the log's tables."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray
from trainkit.inference.cells import Row
from trainkit.inference.description import Description, Table

from model_server.prediction_log.log import Asked, Given
from model_server.served import Served

Kind: TypeAlias = Literal["image", "pixels", "row"]


class Input(NamedTuple):
    """`digest` is the SHA-256 of the content."""

    digest: str
    kind: Kind
    content: bytes


COLUMNS = (
    "model", "id", "time", "request", "position", "role", "input", "class", "confidence", "value",
    "probabilities", "embedding", "latency_ms",
)  # fmt: skip
Record: TypeAlias = tuple[object, ...]
"""A row of `predictions`, in the order of these columns."""


def of(model: int, served: Served, batch: Sequence[Asked]) -> tuple[list[Record], list[Input]]:
    """A row for each image or row that the model was asked."""
    description = served.predictor.description
    columns = _columns(description)
    inputs = [_input(given, columns) for asked in batch for given in asked.inputs]
    values = np.concatenate([asked.answers.values for asked in batch])
    ids = os.urandom(8 * len(inputs)).hex()
    if description.classes:
        tops = values.argmax(axis=1)
        classes: Iterable[str | None] = [description.classes[top] for top in tops.tolist()]
        confidences: Iterable[float | None] = np.take_along_axis(values, tops[:, None], axis=1)[:, 0].tolist()
        probabilities: Iterable[str | None] = _json(values)
        quantities: Iterable[float | None] = repeat(None)
    else:
        classes, confidences, probabilities = repeat(None), repeat(None), repeat(None)
        quantities = values[:, 0].tolist()
    places = (
        (_written(asked.time), asked.request, position, asked.role, round(asked.latency_s * 1000, 3))
        for asked in batch
        for position in range(len(asked.inputs))
    )
    embeddings = (_embedding(asked, position) for asked in batch for position in range(len(asked.inputs)))
    # What there is none of has no end.
    answers = zip(classes, confidences, quantities, probabilities, embeddings, strict=False)
    rows: list[Record] = [
        (model, ids[16 * n : 16 * n + 16], time, request, position, role, given.digest, *answer, latency_ms)
        for n, ((time, request, position, role, latency_ms), given, answer) in enumerate(
            zip(places, inputs, answers, strict=True)
        )
    ]
    return rows, inputs


def _written(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@functools.lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _embedding(asked: Asked, position: int) -> bytes | None:
    embedding = asked.answers.embedding
    return None if embedding is None else embedding[position].astype("<f4").tobytes()


def _json(values: NDArray[np.float64]) -> list[str]:
    """Each row as an array of JSON. Single precision is what models calculate in, and half as long."""
    text = orjson.dumps(values.astype(np.float32), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return [f"[{row}]" for row in text[2:-2].split("],[")]


def _columns(description: Description) -> frozenset[str]:
    taken = description.input
    return frozenset(column.name for column in taken.columns) if isinstance(taken, Table) else frozenset()


def _input(given: Given, columns: frozenset[str]) -> Input:
    if isinstance(given, bytes):
        return _digested("image", given)
    if isinstance(given, np.ndarray):
        file = io.BytesIO()
        np.save(file, given, allow_pickle=False)
        return _digested("pixels", file.getvalue())
    return _digested("row", _canonical({name: cell for name, cell in given.items() if name in columns}))


def _canonical(row: Row) -> bytes:
    """The same row is the same bytes, however it was sent."""
    try:
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return json.dumps({name: str(cell) for name, cell in row.items()}, sort_keys=True).encode()


def _digested(kind: Kind, content: bytes) -> Input:
    return Input(hashlib.sha256(content).hexdigest(), kind, content)
