"""A model that answers: an ONNX file that says what it takes, in ONNX Runtime."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from trainkit.errors import InputError
from trainkit.inference import graph, onnx_file, rows
from trainkit.inference.cells import Row
from trainkit.inference.description import Description, Images, Table, read

Pixels: TypeAlias = NDArray[np.uint8]
"""A picture as `images` gives it: (size, size, 3)."""
Numbers: TypeAlias = NDArray[np.float64]
# More at a time are no faster, and take more memory.
_PICTURES, _ROWS = 8, 4096
_TOLERANCE = 1e-3


class Session(Protocol):
    """What of an `onnxruntime.InferenceSession` answers."""

    def run(
        self, output_names: Sequence[str], input_feed: Mapping[str, NDArray[np.generic]]
    ) -> list[NDArray[np.generic]]:
        """The outputs of these names."""


@dataclass(frozen=True)
class Answers:
    """What a model says to n inputs.

    `values` is (n, classes), probabilities, or (n, 1), quantities. `embedding` is (n, numbers), float32, or
    None where the model has none.
    """

    values: Numbers
    embedding: NDArray[np.float32] | None = None


class Model(Protocol):
    """A model in memory, of an ONNX file or not. Many threads may ask it at once."""

    @property
    def description(self) -> Description:
        """What it takes, and what its answers mean."""

    @property
    def version(self) -> str:
        """The SHA-256 of its file, or of its files."""

    @property
    def served_by(self) -> str:
        """What runs it, and why that, where it is not ONNX Runtime."""

    def answers(self, inputs: Sequence[Pixels] | Sequence[Row], *, ignored: Sequence[str] = ()) -> Answers:
        """The answers in the order of the inputs. Raises `InputError`."""


@dataclass(frozen=True)
class Predictor:
    """A model in memory. Many threads may ask it at once. `version` is the SHA-256 of its file."""

    description: Description
    version: str
    _session: Session
    _inputs: Mapping[str, type[np.generic]]
    """The graph's inputs, and what numbers they take; `object_` is text."""

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, largest: int = onnx_file.LARGEST) -> "Predictor":
        """The model of an ONNX file. `threads` are for one batch; as many as there are cores by default.

        Raises `InputError` for what is no ONNX file, one that does not describe itself or whose graph takes
        or gives something else than it says, one with weights outside of its folder, and one of more than
        `largest` bytes.
        """
        session = onnx_file.opened(path, threads=threads or len(os.sched_getaffinity(0)), largest=largest)
        description = read(session)
        inputs = graph.checked(session, description, str(path))
        with path.open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(description, version, session, inputs)

    @property
    def served_by(self) -> str:
        """It needs no framework."""
        return "ONNX Runtime"

    def answers(self, inputs: Sequence[Pixels] | Sequence[Row], *, ignored: Sequence[str] = ()) -> Answers:
        """The answers to pictures, or to rows of a table, in their order; `ignored` as in `rows.encode`.

        Raises `InputError` for rows that are wrong, and where an answer is no number, as a missing cell can
        lead to.
        """
        taken = self.description.input
        batches: Iterator[Mapping[str, NDArray[np.generic]]]
        if isinstance(taken, Images):
            batches = self._of_pictures(cast(Sequence[Pixels], inputs), taken)
        else:
            batches = self._of_rows(cast(Sequence[Row], inputs), taken, ignored)
        answers = [self._answers(batch) for batch in batches]
        if not answers:
            return Answers(np.empty((0, max(1, len(self.description.classes)))))
        values = np.concatenate([answer.values for answer in answers])
        refuse_impossible(values, self.description)
        embeddings = [answer.embedding for answer in answers if answer.embedding is not None]
        return Answers(values, np.concatenate(embeddings) if embeddings else None)

    def _of_pictures(
        self, pictures: Sequence[Pixels], taken: Images
    ) -> Iterator[Mapping[str, NDArray[np.generic]]]:
        [(name, kind)] = self._inputs.items()
        for start in range(0, len(pictures), _PICTURES):
            batch = np.stack(pictures[start : start + _PICTURES])
            if batch.shape[1:] != (taken.size, taken.size, 3):
                raise ValueError(f"pictures of {batch.shape[1:]}, not of {taken.size}")
            moved = batch if taken.layout == "NHWC" else batch.transpose(0, 3, 1, 2)
            yield {name: np.ascontiguousarray(moved, dtype=kind)}

    def _of_rows(
        self, given: Sequence[Row], taken: Table, ignored: Sequence[str]
    ) -> Iterator[Mapping[str, NDArray[np.generic]]]:
        encoded = rows.encode(given, taken, ignored=ignored)
        by_name = encoded if isinstance(encoded, dict) else dict.fromkeys(self._inputs, encoded)
        for start in range(0, len(given), _ROWS):
            yield {
                name: np.ascontiguousarray(by_name[name][start : start + _ROWS], dtype=kind)
                for name, kind in self._inputs.items()
            }

    def _answers(self, batch: Mapping[str, NDArray[np.generic]]) -> Answers:
        outputs = [self.description.output, *filter(None, [self.description.embedding])]
        try:
            values, *embedding = self._session.run(outputs, batch)
        except onnx_file.ERRORS as error:
            raise InputError(f"The model fails at its input: {error}", "Export the model again.") from None
        return Answers(
            np.asarray(values, dtype=np.float64).reshape(len(values), -1),
            np.asarray(embedding[0], dtype=np.float32) if embedding else None,
        )


def refuse_impossible(values: Numbers, description: Description) -> None:
    """Raises `InputError` for answers of another shape, that are no numbers, or that are no probabilities."""
    classes = description.classes
    if values.shape[1] != max(1, len(classes)):
        raise InputError(
            f"The model answers with {values.shape[1]} numbers, not with {max(1, len(classes))}.",
            "Export the model again.",
        )
    wrong = ~np.isfinite(values).all(axis=1)
    if wrong.any():
        raise InputError(
            f"The model's answer to input {int(wrong.argmax()) + 1} is no number.",
            "Fill in what is missing in it.",
        )
    if classes and (values.min() < -_TOLERANCE or (abs(values.sum(axis=1) - 1) > _TOLERANCE).any()):
        raise InputError(
            f"The output {description.output!r} has no probabilities.", "Export the model again."
        )
