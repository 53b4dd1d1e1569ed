"""What in an input an answer is due to: with a part of it hidden, the answer falls if that was evidence.

Of a picture, a square of its mean colour is moved over it: an occlusion map. Of a row, each cell is missing
once.
"""

import contextlib
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import Image

from trainkit.errors import InputError
from trainkit.inference.cells import Row
from trainkit.inference.predictor import Numbers, Pixels

Ask: TypeAlias = Callable[[Sequence[Pixels]], Numbers]
AskRows: TypeAlias = Callable[[Sequence[Row]], Numbers]
"""The model's answers, (n, classes) or (n, 1)."""
_Input = TypeVar("_Input")
_Result = TypeVar("_Result")
Steps: TypeAlias = Generator[Sequence[_Input], Numbers, _Result]
"""Yields what the model is to be asked, and is sent its answers, or thrown its `InputError`."""
_SQUARES = 8
"""So many stand side by side in a picture; each is moved by half of its side."""
_BATCH = 2  # more are no faster, and a server answers others in between
_SMALLEST_PX = 256
_STRONGEST = 0.75
_FOR, _AGAINST = (220, 30, 30), (30, 90, 220)


@dataclass(frozen=True)
class OcclusionMap:
    """`drops` is (size, size): by how much the answer falls, on average, where that pixel is hidden.

    It is negative where hiding it makes the answer larger. `answer` is the number that was explained:
    a class's position, or 0 for a quantity.
    """

    picture: Pixels
    answer: int
    drops: Numbers


def occlusion(picture: Pixels, ask: Ask, answer: int | None = None) -> OcclusionMap:
    """The map of one picture, by about 225 answers; of the most probable class if no `answer` is given."""
    return _walk(occlusion_steps(picture, answer), ask)


def contributions(row: Row, ask: AskRows, answer: int | None = None) -> dict[str, float]:
    """By how much the answer falls where each of the row's cells is missing, the strongest first.

    That of the most probable class if no `answer` is given. Cells that are missing, and those that the model
    cannot do without, are left out. Raises `InputError` for a row that is wrong.
    """
    return _walk(contribution_steps(row, answer), ask)


def occlusion_steps(picture: Pixels, answer: int | None = None) -> Steps[Pixels, OcclusionMap]:
    """`occlusion`, for who asks the model in another way than by a call."""
    [whole] = yield [picture]
    position = int(whole.argmax()) if answer is None else answer
    colour = picture.mean(axis=(0, 1)).astype(np.uint8)
    total, counted = np.zeros(picture.shape[:2]), np.zeros(picture.shape[:2])
    for squares in _batches(list(_squares(picture.shape[0]))):
        answers = yield [_hidden(picture, square, colour) for square in squares]
        for square, values in zip(squares, answers, strict=True):
            total[square] += whole[position] - values[position]
            counted[square] += 1
    return OcclusionMap(picture, position, total / counted)


def contribution_steps(row: Row, answer: int | None = None) -> Steps[Row, dict[str, float]]:
    """`contributions`, for who asks the model in another way than by a call."""
    [whole] = yield [row]
    position = int(whole.argmax()) if answer is None else answer
    drops = dict[str, float]()
    for column, cell in row.items():
        if cell is not None:
            with contextlib.suppress(InputError):
                [values] = yield [{**row, column: None}]
                drops[column] = float(whole[position] - values[position])
    return dict(sorted(drops.items(), key=lambda pair: -abs(pair[1])))


def png(explained: OcclusionMap) -> bytes:
    """The picture in grey with its map on it: red speaks for the answer, blue against it."""
    size = explained.picture.shape[0]
    shown = Image.fromarray(explained.picture).convert("L").convert("RGB")
    strongest = float(np.abs(explained.drops).max()) or 1.0
    strength = np.abs(explained.drops) / strongest * _STRONGEST
    colours = np.where((explained.drops > 0)[..., None], np.array(_FOR), np.array(_AGAINST))
    mixed = np.asarray(shown) * (1 - strength[..., None]) + colours * strength[..., None]
    drawn = Image.fromarray(np.rint(mixed).astype(np.uint8))
    if size < _SMALLEST_PX:
        side = size * -(-_SMALLEST_PX // size)
        drawn = drawn.resize((side, side), Image.Resampling.NEAREST)
    content = io.BytesIO()
    drawn.save(content, "PNG")
    return content.getvalue()


def _walk(steps: Steps[_Input, _Result], ask: Callable[[Sequence[_Input]], Numbers]) -> _Result:
    try:
        inputs = next(steps)
        while True:
            try:
                answers = ask(inputs)
            except InputError as error:
                inputs = steps.throw(error)
            else:
                inputs = steps.send(answers)
    except StopIteration as done:
        result: _Result = done.value
        return result


def _squares(size: int) -> Iterator[tuple[slice, slice]]:
    side = max(1, round(size / _SQUARES))
    step = max(1, side // 2)
    # The last ends where the picture does.
    starts = [*range(0, size - side, step), size - side]
    for top in starts:
        for left in starts:
            yield slice(top, top + side), slice(left, left + side)


def _hidden(picture: Pixels, square: tuple[slice, slice], colour: Pixels) -> Pixels:
    changed = picture.copy()
    changed[square] = colour
    return changed


def _batches(squares: Sequence[tuple[slice, slice]]) -> Iterator[Sequence[tuple[slice, slice]]]:
    for start in range(0, len(squares), _BATCH):
        yield squares[start : start + _BATCH]
