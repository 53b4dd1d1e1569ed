"""What the logs say: predictions as records, the newest first."""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

from trainer.errors import InvalidInput
from trainer.predictions.log_file import Log

_SHORTEST, _LEAST = 8, 4
_CHOSEN = """
FROM answers WHERE time >= :since AND role = coalesce(:role, role)
  AND coalesce(version, '') = coalesce(:version, version, '')
  AND coalesce(class, '') = coalesce(:answer, class, '') AND coalesce(confidence, 1) < :below
  AND (label IS NOT NULL) IN (:labelled, NOT :unlabelled)
"""
_PREDICTIONS = f"SELECT * {_CHOSEN} ORDER BY number DESC"
_AGREEMENT = f"""
SELECT count(*) AS labels, sum(class = label) AS agreeing, avg(abs(value - CAST(label AS REAL))) AS error
{_CHOSEN} AND label IS NOT NULL
"""


@dataclass(frozen=True)
class Prediction:
    """An answer to one image or row. Of a regression `value` is the answer, else `answer` is, a class.

    `label` is what a person says that it should have been: a class, or a number as text; None where nobody
    has said it. It is of the input: the champion's answer and the shadow's have the same.
    """

    id: str
    time: datetime
    request: str
    position: int
    """Of the input in its request, from 0."""
    role: Literal["champion", "shadow"]
    name: str
    """As the model is served."""
    called: str
    """NAME@VERSION of a registered model, else what the user called it."""
    version: str | None
    digest: str
    """SHA-256 of the ONNX file."""
    classes: tuple[str, ...]
    input: str
    """SHA-256 of the input, as `content` has it."""
    answer: str | None
    confidence: float | None
    value: float | None
    probabilities: tuple[float, ...]
    embedding: bytes | None
    """Numbers of 32 bits, little-endian."""
    latency_ms: float
    label: str | None
    labelled_by: str | None
    labelled_at: str | None


@dataclass(frozen=True)
class Chosen:
    """Which predictions are meant; by default, all that clients got."""

    since: datetime | None = None
    version: str | None = None
    answer: str | None = None
    below: float | None = None
    """Only answers with less confidence."""
    is_labelled: bool | None = None
    role: Literal["champion", "shadow"] | None = "champion"
    """None: both."""

    @property
    def _parameters(self) -> dict[str, object]:
        return {
            "since": written(self.since) if self.since else "", "version": self.version,
            "answer": self.answer, "below": 2.0 if self.below is None else self.below, "role": self.role,
            "labelled": self.is_labelled is not False, "unlabelled": self.is_labelled is not True,
        }  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """How many labels there are; how many of these the model says, too, or how far it is off on average."""

    labels: int
    agreeing: int | None
    error: float | None


def written(time: datetime) -> str:
    """As the log has times, which are in UTC, and sorted as text."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def predictions(logs: Sequence[Log], chosen: Chosen, limit: int | None = None) -> Iterator[Prediction]:
    """Those that are chosen, of all logs, the newest first."""
    streams = [_of(log, _PREDICTIONS, chosen) for log in logs]
    return islice(heapq.merge(*streams, key=lambda each: each.time, reverse=True), limit)


def agreement(log: Log, chosen: Chosen) -> Agreement | None:
    """What the labels of the chosen say; None where there are none."""
    row = log.connection.execute(_AGREEMENT, chosen._parameters).fetchone()
    return Agreement(row["labels"], row["agreeing"], row["error"]) if row["labels"] else None


def _of(log: Log, query: str, chosen: Chosen) -> Iterator[Prediction]:
    for row in log.connection.execute(query, chosen._parameters):
        yield _prediction(row)


def _prediction(row: sqlite3.Row) -> Prediction:
    return Prediction(
        id=row["id"], time=datetime.fromisoformat(row["time"]), request=row["request"],
        position=row["position"], role=row["role"], name=row["name"], called=row["called"],
        version=row["version"], digest=row["digest"], classes=tuple(json.loads(row["classes"])),
        input=row["input"], answer=row["class"], confidence=row["confidence"], value=row["value"],
        probabilities=tuple(json.loads(row["probabilities"] or "[]")), embedding=row["embedding"],
        latency_ms=row["latency_ms"], label=row["label"], labelled_by=row["labelled_by"],
        labelled_at=row["labelled_at"],
    )  # fmt: skip


def _beginning(log: Log, prefix: str, most: int) -> list[sqlite3.Row]:
    # No digit comes after f.
    return log.connection.execute(
        "SELECT * FROM answers WHERE id >= ? AND id < ? LIMIT ?", (prefix, f"{prefix}g", most)
    ).fetchall()


def found(logs: Sequence[Log], prefix: str) -> tuple[Log, Prediction]:
    """The prediction whose id begins so, and its log. Raises `InvalidInput` unless it is exactly one."""
    digits = prefix.strip().lower()
    hint = "`trainer predictions list` has the ids."
    if len(digits) < _LEAST or not set(digits) <= set("0123456789abcdef"):
        raise InvalidInput(f"{prefix!r} is no id of a prediction.", hint)
    matches = [(log, row) for log in logs for row in _beginning(log, digits, 2)]
    if not matches:
        raise InvalidInput(f"No prediction has the id {digits}.", hint)
    if len(matches) > 1:
        ids = ", ".join(row["id"] for _, row in matches[:2])
        raise InvalidInput(f"More than one prediction has an id like {digits}: {ids}.", "Type more of it.")
    [(log, row)] = matches
    return log, _prediction(row)


def shortened(logs: Sequence[Log], prediction_id: str) -> str:
    """As much of the id as tells it from all others."""
    for length in range(_SHORTEST, len(prediction_id)):
        if sum(len(_beginning(log, prediction_id[:length], 2)) for log in logs) == 1:
            return prediction_id[:length]
    return prediction_id


def classes(logs: Sequence[Log]) -> list[str]:
    """Those of all models in the logs, in their order."""
    rows = [row for log in logs for row in log.connection.execute("SELECT classes FROM models")]
    return list(dict.fromkeys(name for row in rows for name in json.loads(row["classes"])))


def content(log: Log, digest: str) -> bytes | None:
    """An input as it was sent: an image's file, pixels as .npy, a row as JSON. None where it is not kept."""
    row = log.connection.execute("SELECT content FROM inputs WHERE digest = ?", (digest,)).fetchone()
    return bytes(row["content"]) if row else None
