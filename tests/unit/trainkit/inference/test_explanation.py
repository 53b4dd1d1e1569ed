from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from trainkit.errors import InputError
from trainkit.inference import explanation
from trainkit.inference.cells import Row
from trainkit.inference.predictor import Numbers, Pixels


class Asked:
    """A model that looks for red at one place; it answers "red there" and "none", and remembers batches."""

    def __init__(self, rows: slice, columns: slice) -> None:
        self.place = (rows, columns)
        self.batches: list[int] = []

    def __call__(self, pictures: Sequence[Pixels]) -> Numbers:
        self.batches.append(len(pictures))
        red: NDArray[np.float64] = np.array(
            [picture[self.place][..., 0].mean() / 255 for picture in pictures]
        )
        return np.stack([red, 1 - red], axis=1)


def red_square(size: int, rows: slice, columns: slice) -> Pixels:
    picture = np.zeros((size, size, 3), np.uint8)
    picture[rows, columns, 0] = 255
    return picture


@pytest.mark.parametrize("size", [8, 50, 64, 229])
def test_the_map_is_strongest_where_the_model_looks(size: int) -> None:
    rows, columns = slice(0, size // 4), slice(size // 2, size // 2 + size // 4)
    model = Asked(rows, columns)
    explained = explanation.occlusion(red_square(size, rows, columns), model)
    assert explained.answer == 0
    inside = np.zeros((size, size), dtype=bool)
    inside[rows, columns] = True
    assert explained.drops[inside].mean() > 5 * abs(explained.drops[~inside]).mean()
    assert np.isfinite(explained.drops).all()
    assert max(model.batches) <= 32
    assert sum(model.batches) <= 17 * 17 + 1


def test_another_class_is_explained_if_asked_for() -> None:
    rows = columns = slice(0, 16)
    explained = explanation.occlusion(red_square(64, rows, columns), Asked(rows, columns), 1)
    assert explained.answer == 1
    assert explained.drops.min() < 0
    assert explained.drops[rows, columns].mean() < 0


def test_the_picture_is_red_where_there_is_evidence() -> None:
    rows, columns = slice(0, 16), slice(32, 48)
    explained = explanation.occlusion(red_square(64, rows, columns), Asked(rows, columns))
    with Image.open(io.BytesIO(explanation.png(explained))) as image:
        assert image.format == "PNG"
        assert image.size == (256, 256)
        drawn = np.asarray(image).astype(int)
    redness = drawn[..., 0] - drawn[..., 2]
    assert redness[20:40, 140:180].mean() > 100
    assert abs(redness[150:]).max() == 0


def test_a_model_that_sees_nothing_leaves_the_picture_grey() -> None:
    blind = Asked(slice(0, 8), slice(0, 8))
    explained = explanation.occlusion(np.full((8, 8, 3), 90, np.uint8), blind)
    assert not explained.drops.any()
    with Image.open(io.BytesIO(explanation.png(explained))) as image:
        assert np.unique(np.asarray(image)).tolist() == [90]


def ask_rows(rows: Sequence[Row]) -> Numbers:
    """A model that cannot do without a, and answers a + 10 b - c."""
    if any(row["a"] is None for row in rows):
        raise InputError("The model's answer to input 1 is no number.", "")
    numbers = [[float(str(row[name] or 0)) for name in "abc"] for row in rows]
    sums: NDArray[np.float64] = np.array(numbers) @ np.array([[1.0], [10.0], [-1.0]])
    return sums


def test_a_row_is_explained_by_the_cells_that_matter_the_strongest_first() -> None:
    assert explanation.contributions({"a": 1, "b": 2, "c": 30}, ask_rows) == {"c": -30, "b": 20}
    assert list(explanation.contributions({"a": 1, "b": 2, "c": 30}, ask_rows)) == ["c", "b"]
    assert explanation.contributions({"a": 1, "b": None, "c": 3}, ask_rows) == {"c": -3}
    with pytest.raises(InputError):
        explanation.contributions({"a": None, "b": 1, "c": 3}, ask_rows)
