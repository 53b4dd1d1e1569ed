"""Describing a dataset: numbers of each class, and two pictures."""

from __future__ import annotations

import statistics
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trainkit.data import brightness, image_folder
from trainkit.data.brightness import FULL, Values, White
from trainkit.data.image_folder import SPLITS, Image, ImageFolder
from trainkit.errors import InputError

from trainer import atomic_files
from trainer.datasets import Report, in_threads, silent
from trainer.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = CLASSES, SHEET = ("classes.png", "contact_sheet.png")
_SHOWN = 6


@dataclass(frozen=True)
class ClassStats:
    """One class. `median_size` is of widths and of heights in pixels; None where no image can be read."""

    name: str
    images: int
    share: float
    splits: Mapping[str, int]
    median_size: tuple[int, int] | None
    bytes: int


@dataclass(frozen=True)
class Stats:
    """A dataset in numbers. `splits` are those that it has; `unreadable` are images without a size."""

    root: Path
    images: int
    bytes: int
    splits: tuple[str, ...]
    classes: tuple[ClassStats, ...]
    unreadable: tuple[str, ...]
    beside: tuple[str, ...] = ()
    """Folders beside the splits."""
    white: White = FULL
    """What is white in images of more than 8 bits."""

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "path": str(self.root),
            "images": self.images,
            "bytes": self.bytes,
            "splits": list(self.splits),
            "classes": [
                {"name": c.name, "images": c.images, "share": round(c.share, 6), "splits": dict(c.splits),
                 "median_size": c.median_size, "bytes": c.bytes}
                for c in self.classes
            ],
            "unreadable": list(self.unreadable),
            "beside_splits": list(self.beside),
        }  # fmt: skip


def measure(root: Path, report: Report = silent) -> Stats:
    """Count images, bytes and sizes. Of images of 8 bits only heads are read. Raises as `scan` does."""
    folder = image_folder.scan(root)
    sizes: dict[Image, tuple[int, int] | None] = {}
    deep: dict[PurePosixPath, Values] = {}
    with warnings.catch_warnings(action="ignore"):
        looks = in_threads(lambda image: _look(root, image), folder.images)
        for image, (size, values) in zip(folder.images, looks, strict=True):
            sizes[image] = size
            if values:
                deep[image.path] = values
            report("Measuring", len(sizes), len(folder.images))
    splits = tuple(split for split in SPLITS if folder.of(split))
    classes = tuple(_of_class(folder, label, splits, sizes) for label in folder.classes)
    unreadable = tuple(str(image.path) for image, size in sizes.items() if size is None)
    bytes_of_all = sum(c.bytes for c in classes)
    return Stats(
        root, len(folder.images), bytes_of_all, splits, classes, unreadable, folder.beside, _white(deep)
    )


def draw(stats: Stats, folder: Path, report: Report = silent) -> tuple[Path, Path]:
    """Draw `classes.png` and `contact_sheet.png` into the folder, which is made; nothing is replaced."""
    from trainer.datasets.statistics import figures

    check(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report("Drawing", 0, 2)
    save(figures.class_balance(stats), folder / CLASSES)
    report("Drawing", 1, 2)
    examples = _examples(image_folder.scan(stats.root))
    save(figures.contact_sheet(stats.root, examples, stats.white), folder / SHEET)
    return folder / CLASSES, folder / SHEET


def check(folder: Path, names: Sequence[str] = PICTURES) -> None:
    """Raises `InvalidInput` where pictures could not be drawn into the folder without replacing a file."""
    for place in (folder, folder.parent):
        if place.exists() and not place.is_dir():
            raise _exists(place)
    for name in names:
        if (folder / name).exists():
            raise _exists(folder / name)


def free_place(root: Path, parent: Path) -> Path:
    """A folder for the pictures that does not exist: NAME-stats, or NAME-stats-2 and so on."""
    name = f"{root.resolve().name}-stats"
    return next(parent / n for n in _numbered(name) if not (parent / n).exists())


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _exists(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} exists already.", "Specify another folder with -o; nothing is overwritten.")


def save(figure: Figure, path: Path) -> None:
    """Write a picture where there is none. Raises `InvalidInput`."""
    unfinished = atomic_files.beside(path)
    with warnings.catch_warnings(action="ignore"):  # of letters that the font lacks
        figure.savefig(unfinished, format="png")
    try:
        atomic_files.rename(unfinished, path)
    except FileExistsError:
        unfinished.unlink()
        raise _exists(path) from None


def _look(root: Path, image: Image) -> tuple[tuple[int, int] | None, Values | None]:
    """The image's size, and its values where it has more than 8 bits."""
    from trainkit.data import pixels

    try:
        with pixels.opened(root / image.path) as picture:
            return picture.size, brightness.values(picture)
    except InputError:
        return None, None


def _white(deep: Mapping[PurePosixPath, Values]) -> White:
    try:
        return brightness.find(deep)
    except InputError:  # `validate` says it
        return FULL


def _of_class(
    folder: ImageFolder, label: str, splits: tuple[str, ...], sizes: Mapping[Image, tuple[int, int] | None]
) -> ClassStats:
    images = [image for image in folder.images if image.label == label]
    known_sizes = [size for image in images if (size := sizes[image])]
    median = (_median(w for w, _ in known_sizes), _median(h for _, h in known_sizes)) if known_sizes else None
    return ClassStats(
        label,
        len(images),
        len(images) / max(len(folder.images), 1),
        {split: sum(image.split == split for image in images) for split in splits},
        median,
        sum((folder.root / image.path).lstat().st_size for image in images),
    )


def _median(values: Iterator[int]) -> int:
    return round(statistics.median(values))


def _examples(folder: ImageFolder) -> dict[str, list[Path]]:
    """Images of each class, from all over its listing."""
    by_class: defaultdict[str, list[Path]] = defaultdict(list)
    for image in folder.images:
        by_class[image.label].append(folder.root / image.path)
    return {label: [paths[i] for i in sorted({n * len(paths) // _SHOWN for n in range(_SHOWN)})]
            if (paths := by_class[label]) else [] for label in folder.classes}  # fmt: skip
