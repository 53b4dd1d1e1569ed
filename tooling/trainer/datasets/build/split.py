"""A dataset divided into train/, validation/ and test/."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from trainkit.data import image_folder
from trainkit.data.image_folder import ImageFolder

from trainer.datasets import Report, silent
from trainer.datasets.build import copying
from trainer.datasets.build.copying import Copies, Link
from trainer.errors import InvalidInput


@dataclass(frozen=True)
class Division:
    """A dataset, divided, and the copies that make it so."""

    folder: ImageFolder
    copies: Copies


def plan(
    root: Path, shares: Mapping[str, float], seed: int, link: Link = "copy", report: Report = silent
) -> Division:
    """Divide by `image_folder.split`: class by class, by content, copies of an image on one side.

    Raises `InvalidInput` where the dataset is divided already, and `InputError` as `split` does.
    """
    if not all(map(math.isfinite, shares.values())):
        raise InvalidInput(
            "A share is not a number.", "For instance --train 0.7 --validation 0.15 --test 0.15"
        )
    folder = image_folder.scan(root)
    if folder.is_split:
        raise InvalidInput(
            f"{root} is split already.", "Use it as it is: `trainer run` finds its train/ by itself."
        )
    divided = image_folder.split(folder, digests(folder, report), shares, seed)
    places = ((image.path, PurePosixPath(image.split or "") / image.path) for image in divided.images)
    return Division(divided, Copies(root, copying.files(root, places), link))


def digests(folder: ImageFolder, report: Report) -> dict[PurePosixPath, str]:
    """`image_folder.content_digests`, class by class, so that it can be followed."""
    by_path: dict[PurePosixPath, str] = {}
    for label in folder.classes:
        part = replace(folder, images=tuple(image for image in folder.images if image.label == label))
        by_path |= image_folder.content_digests(part)
        report("Reading", len(by_path), len(folder.images))
    return by_path
