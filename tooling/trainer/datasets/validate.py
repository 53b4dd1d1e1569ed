"""Checking a dataset: every file is read once, in parallel; one that cannot be read ends nothing."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trainkit.data import image_folder
from trainkit.data.brightness import FULL, Values, White
from trainkit.data.image_folder import TEST, TRAIN, VALIDATION, Image, ImageFolder
from trainkit.errors import InputError
from trainkit.run_environment import DATA

from trainer.counted import counted
from trainer.datasets import Report, findings, in_threads, inside, near_duplicates, silent
from trainer.datasets.findings import CheckedImage, Finding, Kind
from trainer.datasets.inside import MountedFolder
from trainer.datasets.verdict import Verdict
from trainer.projects.mounts import Mount

NEAR, MIN_IMAGES = 4, 10
_SIDE = 36  # pixels that a picture is made small to before it is hashed


def validate(
    root: Path,
    distance: int = NEAR,
    min_images: int = MIN_IMAGES,
    report: Report = silent,
    mounts: Sequence[Mount] = (),
    white: float | None = None,
) -> Verdict[Finding]:
    """Check structure, files, copies and near copies (up to `distance` differing bits of 64).

    `mounts` are what a run in a container sees, by default the dataset alone. `white` is what a run is to be
    told of images of more than 8 bits. Raises `InputError` where there is no dataset at all.
    """
    folder = image_folder.scan(root)
    images = list(_read_all(folder, report))
    good = [file for file in images if not file.problem]
    all_findings = [
        *_of_structure(folder, min_images),
        *_of_links(root, inside.mounted(root, mounts or [Mount(str(root), f"{DATA}/{root.name}")])),
        *findings.of_files(images, formats()),
        *findings.of_brightness(images, white),
        *_of_copies(good),
        *_of_near_copies(good, distance),
    ]
    order = list(Kind)
    all_findings.sort(key=lambda finding: (order.index(finding.kind), finding.paths))
    size = {"images": len(folder.images), "classes": len(folder.classes)}
    subject = f"{counted(size['images'], 'image')} in {counted(size['classes'], 'class')}"
    return Verdict(root, subject, size, tuple(all_findings))


def formats() -> dict[str, str]:
    """Suffix → the format's name in Pillow, for the suffixes of image folders."""
    from PIL import Image as Pillow

    return {suffix: Pillow.registered_extensions()[suffix] for suffix in image_folder.SUFFIXES}


def _of_structure(folder: ImageFolder, min_images: int) -> Iterator[Finding]:
    for name in folder.beside:
        yield Finding(Kind.BESIDE_SPLITS, "a training does not use it", (name,))
    if inner := image_folder.deeper(folder):
        yield Finding(Kind.DEEPER, "name that folder instead", (str(inner),))
        return
    for path in folder.empty:
        yield Finding(Kind.EMPTY_CLASS, "", (path,))
    if len(folder.classes) < 2:
        yield Finding(Kind.ONE_CLASS, "a classifier needs two at least", folder.classes)
    trained = {image.label for image in folder.of(TRAIN)}
    for split in (VALIDATION, TEST):
        for label in sorted({image.label for image in folder.of(split)} - trained):
            yield Finding(Kind.NOT_TRAINED, f"{label} is in {split} alone")
    counts = folder.counts(TRAIN) if folder.is_split else folder.counts()
    for label, count in counts.items():
        if 0 < count < min_images:
            training = " to train with" if folder.is_split else ""
            yield Finding(Kind.FEW_IMAGES, f"{label} has {count}{training}; {min_images} were asked for")
    for passed in folder.passed_over:
        yield Finding(Kind.NO_IMAGE, "", (str(passed),))


def _of_links(root: Path, mounted: MountedFolder | None) -> Iterator[Finding]:
    for folder, folders, files in os.walk(root) if mounted else ():
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(folders + files):
            path = os.path.join(folder, name)  # noqa: PTH118
            # One that leads nowhere at all is an image that cannot be read.
            is_link = os.path.islink(path) and os.path.exists(path)  # noqa: PTH110, PTH114
            if is_link and mounted and (destination := mounted.unreachable_target(path)):
                yield Finding(Kind.LEADS_OUT, f"to {destination}", (os.path.relpath(path, root),))


def _of_copies(images: Iterable[CheckedImage]) -> Iterator[Finding]:
    same: defaultdict[str, list[CheckedImage]] = defaultdict(list)
    for file in images:
        same[file.sha256].append(file)
    for group in same.values():
        if len(group) > 1:
            yield from findings.of_copies(group, near=False)


def _of_near_copies(images: Iterable[CheckedImage], distance: int) -> Iterator[Finding]:
    """Groups that hold different files; of equal ones the first stands for all in its class and split."""
    unique = {(file.sha256, file.label, file.split): file for file in images if file.hash is not None}
    files = list(unique.values())
    for group in near_duplicates.groups([file.hash for file in files if file.hash is not None], distance):
        members = [files[position] for position in group]
        if len({file.sha256 for file in members}) > 1:
            yield from findings.of_copies(members, near=True)


def _read_all(folder: ImageFolder, report: Report) -> Iterator[CheckedImage]:
    # Pillow's remarks on odd files would spoil the progress bar; what matters of them is found.
    with warnings.catch_warnings(action="ignore"):
        files = in_threads(lambda image: _read(folder.root, image), folder.images)
        for done, checked in enumerate(files, start=1):
            report("Reading", done, len(folder.images))
            yield checked


def _read(root: Path, image: Image) -> CheckedImage:
    from trainkit.data import brightness, pixels

    path = root / image.path
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with pixels.opened(path) as picture:
            if picture.format == "PNG":  # Pillow shows one that lacks its end; other decoders do not
                picture.verify()
        with pixels.opened(path) as picture:
            peculiar, kind = tuple(pixels.peculiarities(picture)), picture.format or ""
            # A JPEG with a second picture in it, as many cameras write them.
            kind = "JPEG" if kind == "MPO" else kind
            values = brightness.values(picture)
            picture.draft("RGB", (_SIDE, _SIDE))  # decodes no more pixels than needed
            # By itself, because what is white in all of them is not known yet, and makes no difference here.
            small = pixels.rgb(picture, _own_white(values)).resize((_SIDE, _SIDE), reducing_gap=2.0)
            return CheckedImage(image.path, image.label, image.split, digest, "", kind, peculiar,
                        near_duplicates.difference_hash(small), values)  # fmt: skip
    except InputError as error:
        return CheckedImage(
            image.path, image.label, image.split, problem=error.message.removeprefix(f"{path}: ")
        )
    except Exception as error:  # noqa: BLE001 (decoders raise what they like; no file may end the check)
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return CheckedImage(image.path, image.label, image.split, problem=reason)


def _own_white(values: Values | None) -> White:
    if values is None or not values.high > 0:
        return FULL
    return White(values.high, values.high)
