from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trainkit.inference.predictor import Predictor
from trainkit.models import comparison
from trainkit.models.samples import Samples

from unit.trainkit.inference.models import image_description, write_colours

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_colours(tmp_path / "m.onnx")


@pytest.fixture
def answers(model: Path) -> np.ndarray:
    return Predictor.open(model).answers(list(PICTURES)).values


def samples(answers: np.ndarray) -> Samples:
    return Samples(image_description(), PICTURES, answers)


def test_the_largest_difference_is_said(model: Path, answers: np.ndarray) -> None:
    answers[2, 0] += 1e-5
    compared = comparison.compare(model, samples(answers))
    assert compared.max_difference == pytest.approx(1e-5, rel=0.01)
    assert (compared.same_class, compared.samples) == (1, 6)


def test_another_class_is_refused_however_near_it_is(model: Path, answers: np.ndarray) -> None:
    first, second = np.argsort(-answers[4])[:2]
    answers[4, second] = answers[4, first] + 1e-5
    with pytest.raises(comparison.Mismatch, match="another class for 1 of 6"):
        comparison.compare(model, samples(answers))


def test_of_two_classes_that_are_equally_probable_either_is_right(model: Path) -> None:
    grey = np.full((1, 8, 8, 3), 128, dtype=np.uint8)
    answers = Predictor.open(model).answers(list(grey)).values
    answers[0, 2] += 1e-7
    assert comparison.compare(model, Samples(image_description(), grey, answers)).same_class == 1


def test_a_difference_that_is_no_rounding_is_refused(model: Path, answers: np.ndarray) -> None:
    answers[np.arange(len(answers)), answers.argmax(axis=1)] += 0.01
    with pytest.raises(comparison.Mismatch, match=r"differ by up to 0\.01"):
        comparison.compare(model, samples(answers))
