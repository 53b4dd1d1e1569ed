"""Whether an ONNX file answers as the framework did that trained it, on real inputs of the run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainkit.errors import InputError
from trainkit.inference.predictor import Predictor
from trainkit.models.samples import Samples

TOLERANCE = 1e-3
"""Of probabilities; of quantities it is a share of their spread, where that is above 1."""
_ROUNDING = 1e-6
"""Two probabilities that differ by less are the same to a float32."""


class Mismatch(InputError):
    """ONNX Runtime does not answer as the framework does."""


@dataclass(frozen=True)
class Compared:
    """`same_class` is the share of the samples that get the same class; 1 of quantities."""

    max_difference: float
    same_class: float
    samples: int


def compare(path: Path, samples: Samples) -> Compared:
    """Compare the answers of the file with those of the samples. Raises `Mismatch`."""
    found = Predictor.open(path).answers(list(samples.inputs)).values
    expected = samples.answers
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise _mismatch(f"{found.shape} finite numbers in place of {expected.shape}")
    is_classifier = samples.description.task == "classification"
    spread = 1.0 if is_classifier else max(1.0, float(expected.std()))
    compared = Compared(
        max_difference=float(np.abs(found - expected).max() / spread),
        same_class=_same_class(found, expected) if is_classifier else 1.0,
        samples=len(expected),
    )
    if compared.same_class < 1:
        wrong = round((1 - compared.same_class) * compared.samples)
        raise _mismatch(f"another class for {wrong} of {compared.samples} samples")
    if compared.max_difference > TOLERANCE:
        raise _mismatch(f"answers that differ by up to {compared.max_difference:.2g}")
    return compared


def _same_class(found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """The share of the same classes; of two that are equally probable either is right."""
    chosen = np.take_along_axis(expected, found.argmax(axis=1)[:, None], axis=1)[:, 0]
    return float((chosen >= expected.max(axis=1) - _ROUNDING).mean())


def _mismatch(what: str) -> Mismatch:
    return Mismatch(
        f"The ONNX file does not answer as the model did in training: {what}.",
        "Nothing was registered. Report it with the project's code; the model itself is unharmed.",
    )
