"""An image folder as training, validation and test pixels, and as an input of an MLflow run."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import mlflow
import numpy as np
import pandas as pd
from mlflow.data import from_pandas
from mlflow.data.pandas_dataset import PandasDataset
from numpy.typing import NDArray

from trainkit.data import image_folder, pixels
from trainkit.data.brightness import White
from trainkit.data.image_folder import SPLITS, TRAIN, VALIDATION, Image, ImageFolder


@dataclass(frozen=True)
class Part:
    """The images of one split: row i of the pixels of all images is `rows[i]`, its class `labels[i]`.

    The pixels of all splits are one array, mapped from a file: index it batch by batch.
    """

    all_pixels: NDArray[np.uint8] = field(repr=False)
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    images: tuple[Image, ...] = field(repr=False)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.rows)

    def pixels(self, positions: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.uint8]:
        """(n, size, size, 3), uint8, RGB, of the images at these positions of the part."""
        return np.asarray(self.all_pixels[self.rows[positions]])


@dataclass(frozen=True)
class ImageData:
    """All of a dataset. `class_names[label]` is what the label means."""

    folder: ImageFolder = field(repr=False)
    digest: str
    digests: Mapping[PurePosixPath, str] = field(repr=False)
    size: int
    parts: Mapping[str, Part]
    converted: Mapping[str, int]
    from_cache: bool
    white: White | None = None
    """What became 255 in images of more than 8 bits; None where there are none."""
    shared: Sequence[tuple[PurePosixPath, ...]] = ()
    """Groups of images with the same bytes in more than one split."""

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.folder.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return self.folder.classes

    @cached_property
    def train(self) -> Part:
        """The images to learn from."""
        return self.parts[TRAIN]

    @cached_property
    def validation(self) -> Part:
        """The images that say when to stop and which model is the best."""
        return self.parts[VALIDATION]

    def __str__(self) -> str:
        """For the log: a line with name, sizes and digest, then a line for each warning."""
        sizes = ", ".join(f"{len(part)} {split}" for split, part in self.parts.items())
        where = "pixels from the cache" if self.from_cache else "decoded"
        text = f"{self.name}: {len(self.class_names)} classes, {sizes}, digest {self.digest}, {where}"
        return "\nWarning: ".join([text, *self._warnings()])

    def _warnings(self) -> Iterator[str]:
        if self.folder.beside:
            yield f"not used, because it lies beside the splits: {', '.join(self.folder.beside)}"
        if others := self.folder.passed_over:
            yield f"files that are no images of a class: {len(others)}, the first is {others[0]}"
        if self.shared:
            first = " = ".join(map(str, self.shared[0][:3]))
            yield f"images that are in more than one split: {len(self.shared)}, the first is {first}"
        if self.converted:
            counts = ", ".join(f"{count} {what}" for what, count in sorted(self.converted.items()))
            yield f"images converted to 8-bit RGB: {counts}"
        if self.white:
            yield (
                f"white is {self.white.integers:g} in images of integers, {self.white.floats:g} in images of "
                "floats; --white says another value"
            )


def load(
    root: Path, size: int, validation_share: float, seed: int, cache: Path, white: float = 0
) -> ImageData:
    """Read the folder: with its own splits where it has them, else with `validation_share` split off.

    `white` is the value that becomes 255 in images of more than 8 bits; 0 has it found from all of them.
    Raises `InputError` for what a training would fail on: see `image_folder.problems` and `pixels.load`.
    """
    folder = image_folder.check(image_folder.scan(root))
    digests = image_folder.content_digests(folder)
    divided = folder
    if not folder.of(VALIDATION):
        shares = {TRAIN: 1 - validation_share, VALIDATION: validation_share}
        # A test split that is there is left alone.
        free = replace(folder, images=tuple(i for i in folder.images if i.split in (None, TRAIN)))
        halves = {i.path: i for i in image_folder.split(free, digests, shares, seed).images}
        divided = replace(folder, images=tuple(halves.get(i.path, i) for i in folder.images))
    decoded = pixels.load(
        [root / image.path for image in divided.images],
        [digests[image.path] for image in divided.images],
        size,
        cache,
        white or None,
    )
    parts = {split: _part(divided, decoded.array, split) for split in SPLITS if divided.of(split)}
    return ImageData(
        folder=divided,
        digest=image_folder.folder_digest(folder, digests),
        digests=dict(digests),
        size=size,
        parts=parts,
        converted=decoded.converted,
        from_cache=decoded.from_cache,
        white=decoded.white,
        shared=image_folder.shared(divided, digests),
    )


def _part(folder: ImageFolder, array: NDArray[np.uint8], split: str) -> Part:
    numbers = {name: number for number, name in enumerate(folder.classes)}
    rows = [row for row, image in enumerate(folder.images) if image.split == split]
    images = tuple(folder.images[row] for row in rows)
    labels = np.array([numbers[image.label] for image in images], dtype=np.int64)
    return Part(array, np.array(rows, dtype=np.int64), labels, images)


def class_weights(part: Part, classes: int) -> NDArray[np.float64]:
    """A weight for each class, so that all count the same: n / (classes · count), as scikit-learn has it."""
    counts = np.bincount(part.labels, minlength=classes)
    return np.asarray(len(part) / (classes * counts.clip(min=1)), dtype=np.float64)


def mlflow_input(data: ImageData, split: str) -> PandasDataset:
    """One split as what `mlflow.log_input` takes: a manifest of path, class, bytes and SHA-256.

    Its digest is that of the whole folder, with the split's name: a server keeps one input of each digest.
    """
    images = data.parts[split].images
    manifest = pd.DataFrame(
        {
            "path": [str(image.path) for image in images],
            "label": [image.label for image in images],
            "bytes": [(data.folder.root / image.path).stat().st_size for image in images],
            "sha256": [data.digests[image.path] for image in images],
        }
    )
    digest = f"{data.digest}-{split}"
    return from_pandas(manifest, str(data.folder.root), targets="label", name=data.name, digest=digest)


def log_inputs(data: ImageData) -> None:
    """Log every split as an input of the active MLflow run.

    What is white in images of more than 8 bits becomes the tags `white.integers` and `white.floats`.
    """
    if data.white:
        mlflow.set_tags({f"white.{kind}": f"{value:g}" for kind, value in asdict(data.white).items()})
    # MLflow warns of integers that could be missing in a table, and of a folder being a folder in two ways.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        for split in data.parts:
            mlflow.log_input(mlflow_input(data, split), context="training" if split == TRAIN else split)
