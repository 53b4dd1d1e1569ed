"""Samples whose truth is known, as models that are compared are asked for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.data import image_folder
from trainkit.data.image_folder import TEST, TRAIN, VALIDATION

from trainer.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from trainkit.inference.cells import Row
    from trainkit.inference.description import Description
    from trainkit.inference.predictor import Numbers, Pixels, Predictor

_BATCH = 64


@dataclass(frozen=True)
class Samples:
    """Images or rows. `keys` are what a run's table of predictions calls them: paths, or rows' numbers.

    `truth` is (n,): the classes' numbers, or quantities. `split` is which part of the dataset they are, None
    where it has no parts. `digest` is as runs have it of the dataset: 8 hex digits.
    """

    name: str
    digest: str
    keys: tuple[str, ...]
    truth: NDArray[np.generic]
    split: str | None
    _inputs: Callable[[Sequence[int], Description], Sequence[Pixels] | Sequence[Row]]
    _ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.keys)

    def only(self, keys: set[str]) -> Samples:
        """Those of these keys."""
        kept = [number for number, key in enumerate(self.keys) if key in keys]

        def inputs(numbers: Sequence[int], of: Description) -> Sequence[Pixels] | Sequence[Row]:
            return self._inputs([kept[number] for number in numbers], of)

        chosen = tuple(self.keys[number] for number in kept)
        return Samples(self.name, self.digest, chosen, self.truth[kept], self.split, inputs, self._ignored)

    def answers(self, model: Predictor, done: Callable[[int], object]) -> Numbers:
        """The model's answers: (n, classes) probabilities, or (n,) quantities. `done` is told how many are.

        Raises `InputError` for a sample that the model cannot take.
        """
        import numpy as np

        parts = []
        for start in range(0, len(self), _BATCH):
            numbers = range(start, min(start + _BATCH, len(self)))
            inputs = self._inputs(numbers, model.description)
            parts.append(model.answers(inputs, ignored=self._ignored).values)
            done(numbers.stop)
        values = np.concatenate(parts)
        return values if model.description.classes else values[:, 0]


def load(path: Path, description: Description) -> Samples:
    """The samples of a dataset, in the classes of the model: of an image folder its test images, if any.

    Raises `InvalidInput` for a dataset that the model cannot be judged by, `InputError` for one that cannot
    be read.
    """
    from trainkit.inference.description import Images

    taken = description.input
    if isinstance(taken, Images):
        if path.is_file():
            raise InvalidInput(f"{path} is a file, and the model takes images.", "Name an image folder.")
        return _images(path, description)
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder, and the model takes rows.", "Name a CSV file.")
    return _rows(path, description, {column.name for column in taken.columns})


def _images(path: Path, description: Description) -> Samples:
    import numpy as np

    folder = image_folder.check(image_folder.scan(path))
    numbers = {name: number for number, name in enumerate(description.classes)}
    if unknown := [name for name in folder.classes if name not in numbers]:
        raise InvalidInput(
            f"{path.name} has the class {unknown[0]}, which the model does not know.",
            f"It knows {', '.join(description.classes)}.",
        )
    split = next((part for part in (TEST, VALIDATION, TRAIN) if folder.of(part)), None)
    images = folder.of(split) if split else folder.images

    def inputs(positions: Sequence[int], of: Description) -> Sequence[Pixels]:
        from trainkit.inference import images as decoding
        from trainkit.inference.description import Images

        if not isinstance(of.input, Images):
            raise InvalidInput(
                "One of the models takes images, the other rows.", "Compare models of one kind."
            )
        return [decoding.from_file(path / images[n].path, of.input).pixels for n in positions]

    return Samples(
        path.name,
        image_folder.folder_digest(folder, image_folder.content_digests(folder)),
        tuple(str(image.path) for image in images),
        np.array([numbers[image.label] for image in images]),
        split,
        inputs,
    )


def _rows(path: Path, description: Description, taken: set[str]) -> Samples:
    import numpy as np
    from trainkit.inference import csv_rows

    target = description.target
    content = path.read_bytes()
    rows = csv_rows.read(content, name=path.name)
    if target is None or target not in rows[0]:
        raise InvalidInput(
            f"{path.name} has no column {target!r}, which the model predicts.", "Name a file with the truth."
        )
    known = [(number, row) for number, row in enumerate(rows, 1) if row[target] is not None]
    ignored = tuple(name for name in rows[0] if name not in taken)

    def inputs(positions: Sequence[int], _: Description) -> Sequence[Row]:
        return [known[n][1] for n in positions]

    return Samples(
        path.name,
        hashlib.sha256(content).hexdigest()[:8],
        tuple(str(number) for number, _ in known),
        np.array([_truth(row[target], number, description, path.name) for number, row in known]),
        None,
        inputs,
        ignored,
    )


def _truth(cell: object, number: int, description: Description, file: str) -> float:
    """A class's number, or a quantity."""
    text = str(cell)
    if not description.classes:
        try:
            return float(text)
        except ValueError:
            raise InvalidInput(
                f"{file}: row {number} has {text!r} as {description.target}, which is no number.",
                "Correct it.",
            ) from None
    if text in description.classes:
        return description.classes.index(text)
    raise InvalidInput(
        f"{file}: row {number} has the class {text}, which the model does not know.",
        f"It knows {', '.join(description.classes)}.",
    )
