"""A part of a dataset as a dataset of its own: some classes, some images."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainkit.data import image_folder

from trainer.counted import counted
from trainer.datasets.build import copying
from trainer.datasets.build.copying import Copies, Link
from trainer.datasets.names import tidy
from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest


@dataclass(frozen=True)
class Selection:
    """The copies that make a subset; how many images it has of each class; and how many files are left out
    because they are no images.
    """

    copies: Copies
    counts: Mapping[str, int]
    left_out: int


def plan(root: Path, items: Sequence[str], images: int | None = None, link: Link = "copy") -> Selection:
    """The files of the classes that `select` finds; `images` of each folder at most, evenly spaced.

    Evenly, because neighbours in a listing are often pictures of the same patient. Raises `InvalidInput`, or
    `InputError` for a folder that is no dataset.
    """
    folder = image_folder.scan(root)
    chosen = select(folder.classes, items)
    folders: defaultdict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for image in folder.images:
        if image.label in chosen:
            folders[PurePosixPath(image.split or "", image.label)].append(image.path)
    counts = dict.fromkeys(chosen, 0)
    taken: list[PurePosixPath] = []
    for folder_path, paths in folders.items():
        some = _spaced(paths, images)
        taken += some
        counts[folder_path.name] += len(some)
    for name, count in counts.items():
        if not count:
            raise InvalidInput(f"The class {name} has no images.", "Leave it out, or fill it.")
    left_out = sum(any(part in counts for part in path.parts[:-1]) for path in folder.passed_over)
    copies = Copies(root, copying.files(root, ((path, path) for path in sorted(taken))), link)
    return Selection(copies, counts, left_out)


def select(classes: Sequence[str], items: Sequence[str]) -> tuple[str, ...]:
    """The classes that are asked for, sorted: names, patterns with * or ?, `first:3`, with commas between.

    A name is found as it is and as `rename-classes` would have it. Raises `InvalidInput` for a name of no
    class.
    """
    chosen: set[str] = set()
    for item in _items(classes, items):
        chosen.update(_find(sorted(classes), item))
    if not chosen:
        raise InvalidInput("No class is given.", "For instance --classes first:3,healthy_skins")
    return tuple(sorted(chosen))


def _items(classes: Sequence[str], items_given: Sequence[str]) -> list[str]:
    # A name with a comma in it is taken as a whole where it is a class.
    split = ([text] if text in classes else text.split(",") for text in items_given)
    return [item.strip() for items in split for item in items if item.strip()]


def _find(classes: Sequence[str], item: str) -> list[str]:
    if first := re.fullmatch(r"first:(\d+)", item):
        count = int(first[1])
        if not 0 < count <= len(classes):
            raise InvalidInput(
                f"{item}: the dataset has {counted(len(classes), 'class')}.",
                f"Ask for first:1 to first:{len(classes)}.",
            )
        return list(classes[:count])
    if item in classes:
        return [item]
    matches = [name for name in classes if tidy(name) == tidy(item)]
    if not matches and re.search(r"[*?\[]", item):
        matches = [name for name in classes if any(fnmatch.fnmatchcase(n, item) for n in (name, tidy(name)))]
    if not matches:
        raise InvalidInput(f"There is no class {item}.", nearest(item, classes, "The classes are"))
    return matches


def _spaced(paths: list[PurePosixPath], count: int | None) -> list[PurePosixPath]:
    if count is None or count >= len(paths):
        return paths
    return [paths[number * len(paths) // count] for number in range(count)]
