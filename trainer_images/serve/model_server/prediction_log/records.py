"""What was asked and answered, as rows of the log's tables."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray
from trainkit.inference.cells import Row
from trainkit.inference.description import Table

from model_server.prediction_log.log import Asked, Given

Kind: TypeAlias = Literal["image", "pixels", "row"]


class Input(NamedTuple):
    """`digest` is the SHA-256 of the content."""

    digest: str
    kind: Kind
    content: bytes


class Prediction(NamedTuple):
    """In the order of the table's columns, without the model."""

    id: str
    time: str
    request: str
    position: int
    role: str
    input: str
    answer_class: str | None
    confidence: float | None
    value: float | None
    probabilities: str | None
    embedding: bytes | None
    latency_ms: float


def of(asked: Asked) -> Iterator[tuple[Prediction, Input]]:
    """A row for each image or row of the request."""
    description, values, embedding = (
        asked.served.predictor.description, asked.answers.values, asked.answers.embedding
    )  # fmt: skip
    time = datetime.fromtimestamp(asked.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # Single precision is what models calculate in, and half as long.
    short = values.astype(np.float32)
    tops = values.argmax(axis=1).tolist()
    latency_ms = round(asked.latency_s * 1000, 3)
    is_class = bool(description.classes)
    taken = description.input
    columns = frozenset(each.name for each in taken.columns) if isinstance(taken, Table) else frozenset[str]()
    for position, (given, top) in enumerate(zip(asked.inputs, tops, strict=True)):
        kept = _input(given, columns)
        yield (
            Prediction(
                os.urandom(8).hex(), time, asked.request, position, asked.role, kept.digest,
                description.classes[top] if is_class else None,
                float(values[position, top]) if is_class else None,
                None if is_class else float(values[position, 0]),
                _json(short[position]) if is_class else None,
                None if embedding is None else embedding[position].astype("<f4").tobytes(),
                latency_ms,
            ),
            kept,
        )  # fmt: skip


def _json(numbers: NDArray[np.float32]) -> str:
    return orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY).decode()


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
