"""What can be wrong with a dataset, as data: kinds, how bad they are, and the files they are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from trainkit.data import brightness
from trainkit.data.brightness import Values


class Severity(StrEnum):
    """Errors make a training fail or its figures wrong; warnings may; notes are to be known."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Kind(StrEnum):
    """What was found; the value is how it is called in tables and in JSON."""

    UNREADABLE = "unreadable image"
    UNSCALABLE = "values that 8 bits cannot show"
    DEEPER = "dataset one folder deeper"
    LEADS_OUT = "link that a run cannot follow"
    EMPTY_CLASS = "class without images"
    ONE_CLASS = "one class only"
    NOT_TRAINED = "class without training images"
    TWO_CLASSES = "same image in two classes"
    LEAK = "same image in two splits"
    COPY = "same image twice in a class"
    NEAR_TWO_CLASSES = "near duplicate in two classes"
    NEAR_LEAK = "near duplicate in two splits"
    NEAR_COPY = "near duplicate in a class"
    FEW_IMAGES = "class with few images"
    BESIDE_SPLITS = "folder beside the splits"
    MANY_BITS = "image of more than 8 bits"
    WRONG_SUFFIX = "suffix of another format"
    NO_IMAGE = "file that is not an image"
    PECULIAR = "converted when it is read"
    TOO_PLAIN = "too plain to be compared"

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return _MEANINGS[self][0]

    @property
    def fix(self) -> str:
        """What to do about it, in which DIR stands for the dataset; nothing for what needs no fix."""
        return _MEANINGS[self][1]


_SPLIT_AGAIN = "Split the images again; equal ones stay together: trainer data split DIR NEW"
_ONE_CLASS_EACH = "Keep each image in one class."
_MEANINGS = {
    Kind.UNREADABLE: (Severity.ERROR, "Remove these files, or replace them by whole ones."),
    Kind.UNSCALABLE: (Severity.ERROR, "Save the images with 8 bits, or pass the white value: --white VALUE"),
    Kind.DEEPER: (Severity.ERROR, "Use the folder in it, or move its folders up."),
    Kind.LEADS_OUT: (Severity.ERROR, "Copy the files into the dataset in the place of the links."),
    Kind.EMPTY_CLASS: (Severity.ERROR, "Remove the folder, or add images of the class."),
    Kind.ONE_CLASS: (Severity.ERROR, "Add a folder with the images of another class."),
    Kind.NOT_TRAINED: (Severity.ERROR, "Add images of the class to the training split."),
    Kind.TWO_CLASSES: (Severity.ERROR, _ONE_CLASS_EACH),
    Kind.LEAK: (Severity.ERROR, _SPLIT_AGAIN),
    Kind.COPY: (Severity.WARNING, "Remove the copies."),
    Kind.NEAR_TWO_CLASSES: (Severity.WARNING, f"Look at them. {_ONE_CLASS_EACH}"),
    Kind.NEAR_LEAK: (Severity.WARNING, _SPLIT_AGAIN),
    Kind.NEAR_COPY: (Severity.NOTE, ""),
    Kind.FEW_IMAGES: (
        Severity.WARNING,
        "Add images, or leave the classes out: trainer data subset DIR NEW --classes …",
    ),
    Kind.BESIDE_SPLITS: (Severity.WARNING, "Move the folder out of the dataset."),
    Kind.MANY_BITS: (Severity.WARNING, "If another value is white, pass it: --white VALUE"),
    Kind.WRONG_SUFFIX: (Severity.WARNING, "Rename the files."),
    Kind.NO_IMAGE: (Severity.WARNING, "Move the files out of the dataset."),
    Kind.PECULIAR: (Severity.NOTE, ""),
    Kind.TOO_PLAIN: (Severity.NOTE, ""),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found: what of (a reason, a name), and the files, relative to the dataset."""

    kind: Kind
    what: str = ""
    paths: tuple[str, ...] = ()

    def line(self, most: int | None = None) -> str:
        """One line; of many equal files it names `most`, and of each folder one first."""
        folders = {path.rpartition("/")[0]: path for path in reversed(self.paths)}
        paths = sorted(self.paths, key=lambda path: path not in folders.values())[:most]
        more = [f"{len(self.paths) - len(paths)} more"] if len(paths) < len(self.paths) else []
        return ": ".join(filter(None, (" = ".join([*paths, *more]), self.what)))

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {"severity": self.kind.severity, **asdict(self)}


@dataclass(frozen=True)
class CheckedImage:
    """What is known of one image file after it was read. `problem` says why it cannot be."""

    path: PurePosixPath
    label: str
    split: str | None
    sha256: str = ""
    problem: str = ""
    format: str = ""
    peculiarities: tuple[str, ...] = ()
    hash: int | None = None
    values: Values | None = None
    """Of an image of more than 8 bits."""


def of_files(images: Iterable[CheckedImage], suffixes: dict[str, str]) -> Iterator[Finding]:
    """What is wrong with each file by itself. `suffixes` say the format that a suffix stands for."""
    for file in images:
        named = suffixes.get(file.path.suffix.lower(), "")
        if file.problem:
            yield Finding(Kind.UNREADABLE, file.problem, (str(file.path),))
            continue
        if named != file.format:
            yield Finding(Kind.WRONG_SUFFIX, f"it is {file.format}", (str(file.path),))
        for peculiarity in file.peculiarities:
            yield Finding(Kind.PECULIAR, peculiarity, (str(file.path),))
        if file.hash is None:
            yield Finding(Kind.TOO_PLAIN, "", (str(file.path),))


def of_brightness(images: Iterable[CheckedImage], declared_white: float | None) -> Iterator[Finding]:
    """What a training does with images of more than 8 bits: one value is white in all of them.

    It is `declared_white`, or found from them.
    """
    deep = {file.path: file.values for file in images if file.values}
    dark = brightness.dark_colours(deep)
    reasons = {path: brightness.problem(values, declared_white) for path, values in deep.items()}
    reasons |= dict.fromkeys(
        dark, "has 16 bits for each colour and uses few of them: it would be nearly black"
    )
    for path, reason in reasons.items():
        if reason:
            yield Finding(Kind.UNSCALABLE, reason, (str(path),))
    if not any(reasons.values()) and deep:
        white = brightness.find(deep, declared_white)
        for path, values in deep.items():
            detail = f"{values.low:g} … {values.high:g}"
            match values.kind:
                case "integers":
                    detail += f", white is {white.integers:g} (--white says another value)"
                case "floats":
                    detail += f", white is {white.floats:g} (--white says another value)"
                case "colour":
                    detail += " in each colour, of which the upper 8 bits are used"
            yield Finding(Kind.MANY_BITS, detail, (str(path),))


def of_copies(group: Iterable[CheckedImage], *, near: bool) -> Iterator[Finding]:
    """What is wrong with files of which all hold the same image, or nearly."""
    files = sorted(group, key=lambda file: file.path)
    paths = tuple(str(file.path) for file in files)
    labels, splits = {file.label for file in files}, {file.split for file in files}
    if len(labels) > 1:
        yield Finding(Kind.NEAR_TWO_CLASSES if near else Kind.TWO_CLASSES, "", paths)
    if len(splits) > 1:
        yield Finding(Kind.NEAR_LEAK if near else Kind.LEAK, "", paths)
    if len(labels) == len(splits) == 1:
        yield Finding(Kind.NEAR_COPY if near else Kind.COPY, "", paths)
