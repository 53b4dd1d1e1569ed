"""Image folders: one folder a class, or train/, validation/ and test/ with one folder a class in each.

Used inside of runs and by `trainer data`, so that both see the same images, digests and splits.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from trainkit.data import folder_listing
from trainkit.errors import InputError

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
# Other tools' names of the splits.
_SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "testing": TEST,
}


@dataclass(frozen=True, order=True)
class Image:
    """A file of an image folder: its place relative to the root, its class, and its split if it has one."""

    path: PurePosixPath
    label: str
    split: str | None = None


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds. `classes` are sorted; so are `images`, by path.

    `passed_over` are the visible files that no suffix says to be images, or that lie in no class; links to
    folders inside of a class, which may lead anywhere and in circles; and what is no file, such as a pipe.
    """

    root: Path
    classes: tuple[str, ...]
    images: tuple[Image, ...]
    empty: tuple[str, ...] = ()
    """Class folders without an image, as paths relative to the root."""
    passed_over: tuple[PurePosixPath, ...] = ()
    beside: tuple[str, ...] = ()
    """Folders beside the splits, which are no part of the dataset."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.root.name

    @cached_property
    def is_split(self) -> bool:
        """Whether the images lie in train/, validation/ or test/."""
        return any(image.split for image in self.images)

    def of(self, split: str) -> tuple[Image, ...]:
        """The images of one split."""
        return tuple(image for image in self.images if image.split == split)

    def counts(self, split: str | None = None) -> dict[str, int]:
        """Class → number of images, for every class; of one split, or of all."""
        counts = Counter(image.label for image in self.images if split in (None, image.split))
        return {name: counts[name] for name in self.classes}


def scan(root: Path) -> ImageFolder:
    """List the folder without opening a file. Hidden files and folders are no part of it.

    Images may lie deeper inside of their class's folder. Folders are splits where two different ones are
    there, or `train` alone with nothing else that has images. Raises `InputError` where there is no such
    folder or no class in it, where `train` could be a split or a class, and for a name that is not UTF-8;
    what else is wrong is said by `problems`.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}.", "Specify a folder with one folder of images a class.")
    parts = folder_listing.folders(root)
    splits = {name: _SPLIT_NAMES[name.lower()] for name in parts if name.lower() in _SPLIT_NAMES}
    is_split = _are_splits(root, parts, splits)
    images: list[Image] = []
    passed_over = folder_listing.loose(root, PurePosixPath())
    empty: list[str] = []
    classes: set[str] = set()
    for part in splits if is_split else [""]:
        if part:
            passed_over += folder_listing.loose(root, PurePosixPath(part))
        for label in folder_listing.folders(root / part):
            classes.add(label)
            files = list(folder_listing.files(root, PurePosixPath(part, label)))
            images_here = [path for path, is_file in files if is_file and path.suffix.lower() in SUFFIXES]
            images += [Image(path, label, splits.get(part)) for path in images_here]
            passed_over += {path for path, _ in files} - set(images_here)
            if not images_here:
                empty.append(str(PurePosixPath(part, label)))
    if not classes:
        raise InputError(
            f"{root} has no folders of images.", "Put the images of each class into a folder of its own."
        )
    return ImageFolder(
        root,
        tuple(sorted(classes)),
        tuple(sorted(images)),
        tuple(empty),
        tuple(sorted(passed_over)),
        tuple(name for name in parts if name not in splits) if is_split else (),
    )


def problems(folder: ImageFolder) -> Iterator[InputError]:
    """What makes the folder unfit for training a classifier, the most basic things first."""
    if inner := deeper(folder):
        yield InputError(
            f"{folder.root} has one folder with images, {inner}, and the classes are in that.",
            f"Specify that folder instead: {folder.name}/{inner}",
        )
        return
    for path in folder.empty:
        yield InputError(f"The class folder {folder.root / path} has no images.", "Fill it or remove it.")
    if len(folder.classes) < 2:
        yield InputError(
            f"{folder.root} has one class only: {folder.classes[0]}.", "A classifier needs two at least."
        )
    trained = {image.label for image in folder.of(TRAIN)}
    for split in (VALIDATION, TEST):
        for label in sorted({image.label for image in folder.of(split)} - trained):
            yield InputError(
                f"The class {label} is in {folder.root}/{split} but not in train.",
                "Add training images, or remove the class.",
            )


def check(folder: ImageFolder) -> ImageFolder:
    """The folder itself; raises the first of its `problems`."""
    for error in problems(folder):
        raise error
    return folder


def deeper(folder: ImageFolder) -> PurePosixPath | None:
    """The folder further down that is the dataset itself, as after unpacking an archive of one folder."""
    parents = {image.path.parent for image in folder.images}
    if folder.is_split or not parents:
        return None
    inner = PurePosixPath(os.path.commonpath(parents))
    return inner if inner.parts and inner not in parents else None


def shared(folder: ImageFolder, digests: Mapping[PurePosixPath, str]) -> list[tuple[PurePosixPath, ...]]:
    """Groups of images with the same bytes that lie in more than one split."""
    same: defaultdict[str, list[Image]] = defaultdict(list)
    for image in folder.images:
        same[digests[image.path]].append(image)
    return [tuple(i.path for i in group) for group in same.values() if len({i.split for i in group}) > 1]


def content_digests(folder: ImageFolder) -> dict[PurePosixPath, str]:
    """Path → SHA-256 of the file's bytes (64 hex digits), read in parallel."""

    def digest(image: Image) -> str:
        with (folder.root / image.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor() as pool:
        return dict(zip((i.path for i in folder.images), pool.map(digest, folder.images), strict=True))


def folder_digest(folder: ImageFolder, digests: Mapping[PurePosixPath, str]) -> str:
    """The first 8 hex digits of the `manifest_digest` of all images."""
    return manifest_digest((str(image.path), digests[image.path]) for image in folder.images)[:8]


def manifest_digest(contents: Iterable[tuple[str, str]]) -> str:
    """SHA-256 (64 hex digits) of pairs of a file's path and its SHA-256: the same on any machine.

    `trainer data snapshot` computes it of every file of a dataset, which in most are the images alone.
    """
    sha = hashlib.sha256()
    for path, digest in sorted(contents, key=lambda pair: pair[0].split("/")):
        sha.update(f"{path}\0{digest}\n".encode())
    return sha.hexdigest()


def split(
    folder: ImageFolder, digests: Mapping[PurePosixPath, str], shares: Mapping[str, float], seed: int
) -> ImageFolder:
    """The folder with a split given to every image. `shares` of the splits add up to 1.

    Stratified: each class is cut by the shares, and has an image in every split. It goes by content: files of
    the same bytes stay on one side, whatever their names, and names and order of files do not matter. Raises
    `InputError` for a class with fewer different images than splits.
    """
    names = [name for name, share in shares.items() if share > 0]
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
        given = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise InputError(
            f"The shares do not add up to 1: {given}.",
            "Give all of them, for instance train 0.7, validation 0.15, test 0.15.",
        )
    chosen: dict[str, str] = {}
    for label in folder.classes:
        copies: defaultdict[str, int] = defaultdict(int)
        for image in folder.images:
            if image.label == label:
                copies[digests[image.path]] += 1
        if len(copies) < len(names):
            raise InputError(
                f"The class {label} has {len(copies)} different images: too few for {', '.join(names)}.",
                f"Add images: it needs {len(names)} at least.",
            )
        # Content that another class has too was placed with that one.
        free = sorted((digest for digest in copies if digest not in chosen), key=lambda d: _shuffled(seed, d))
        placed = Counter(chosen[digest] for digest in copies if digest in chosen)
        chosen |= zip(free, _cut([copies[digest] for digest in free], names, shares, placed), strict=True)
    images = tuple(replace(image, split=chosen[digests[image.path]]) for image in folder.images)
    return replace(folder, images=images)


def _cut(
    sizes: Sequence[int], names: Sequence[str], shares: Mapping[str, float], placed: Counter[str]
) -> Iterator[str]:
    """A split for each group of copies: the one that is furthest below its share, empty ones first."""
    have = Counter(placed)
    total = sum(sizes) + sum(placed.values())
    for left, size in zip(range(len(sizes), 0, -1), sizes, strict=True):
        empty = [name for name in names if not have[name]]
        among = empty if empty and left <= len(empty) else names
        name = max(among, key=lambda name: shares[name] * total - have[name])
        have[name] += size
        yield name


def _shuffled(seed: int, digest: str) -> str:
    return hashlib.sha256(f"{seed}:{digest}".encode()).hexdigest()


def _are_splits(root: Path, parts: Sequence[str], splits: Mapping[str, str]) -> bool:
    """Whether the folders with the names of splits are splits. A class may be called "test", or "train"."""
    names = set(splits.values())
    if names != {TRAIN}:
        return len(names) > 1
    others = [name for name in parts if name not in splits and any(_images(root, PurePosixPath(name)))]
    if not others:
        return True
    depths = {len(path.parts) for name in splits for path in _images(root, PurePosixPath(name))}
    if not depths or 2 in depths:
        return False
    name = next(iter(splits))
    raise InputError(
        f"{root} has images in folders of {name}/, and images in {others[0]}/ beside it: {name} could be a "
        "split or a class.",
        f"If it is a split, move {others[0]}/ out of {root}. If it is a class, put its images into {name}/.",
    )


def _images(root: Path, folder: PurePosixPath) -> Iterator[PurePosixPath]:
    return (
        path
        for path, is_file in folder_listing.files(root, folder)
        if is_file and path.suffix.lower() in SUFFIXES
    )
