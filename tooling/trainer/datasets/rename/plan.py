"""What renaming the classes of a dataset would do: a plan, checked as a whole before anything is done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainkit.data import image_folder

from trainer.datasets import inside
from trainer.datasets.names import folded, tidy
from trainer.datasets.rename import near
from trainer.errors import InvalidInput

# Names that a step takes a folder away to. Hidden, so that nobody takes it for a class meanwhile.
TEMPORARY = ".trainer-renaming"
_LONGEST = 255


@dataclass(frozen=True)
class Part:
    """A folder of class folders: the dataset itself, or one of its splits."""

    path: PurePosixPath
    """Relative to the dataset; "." for itself."""
    classes: tuple[str, ...]
    others: tuple[str, ...] = ()
    """Whatever else lies there."""


@dataclass(frozen=True, order=True)
class Rename:
    """A class folder's old and new place, relative to the dataset."""

    old: PurePosixPath
    new: PurePosixPath


@dataclass(frozen=True)
class Steps:
    """Renames in an order that works, also where names are swapped: all `away` first, then all `home`."""

    away: tuple[Rename, ...]
    """Class folders whose names are in each other's way, to temporary names."""
    home: tuple[Rename, ...]
    """Class folders from where they are then to their new names."""


def parts(root: Path) -> tuple[Part, ...]:
    """The folders that hold class folders.

    Raises `InputError` as `image_folder.scan` does, and `InvalidInput` for one that is a link out of it.
    """
    folder = image_folder.scan(root)
    depth = 2 if folder.is_split else 1
    folders = {PurePosixPath(*image.path.parts[:depth]) for image in folder.images}
    folders |= {PurePosixPath(path) for path in folder.empty}
    parts_found: list[Part] = []
    for path in sorted({folder_path.parent for folder_path in folders}):
        inside.check(root, root / path)
        classes = {folder_path.name for folder_path in folders if folder_path.parent == path}
        others = {entry.name for entry in os.scandir(root / path)} - classes
        parts_found.append(Part(path, tuple(sorted(classes)), tuple(sorted(others))))
    return tuple(parts_found)


@dataclass(frozen=True)
class Plan:
    """What is to be renamed; and the pairs of the mapping that were done earlier."""

    renames: tuple[Rename, ...]
    already: Mapping[str, str]


def plan(parts: tuple[Part, ...], mapping: Mapping[str, str], last: tuple[Rename, ...] = ()) -> Plan:
    """Every rename that `mapping`, or for other names the rule (`names.tidy`), asks for.

    `last` are the renames done before, so that a mapping can be given twice, even one that swaps names.
    Raises `InvalidInput` for names that cannot be, and where a rename would meet something that is there.
    """
    classes = sorted({name for part in parts for name in part.classes})
    already = {
        old: new for old, new in mapping.items() if new in classes and _is_done(old, new, classes, last)
    }
    pending = {old: new for old, new in mapping.items() if old not in already}
    current = {name: name for name in already.values()}
    new = {name: pending.get(name, current.get(name, tidy(name))) for name in classes}
    for name in pending:
        if name not in classes:
            raise InvalidInput(
                f"The mapping names a class that is not there: {name}", near.suggestion(name, classes)
            )
    for name in classes:
        _check_name(name, new[name])
    renames: list[Rename] = []
    for part in parts:
        _check_collisions(part, new)
        renames += [
            Rename(part.path / name, part.path / new[name]) for name in part.classes if new[name] != name
        ]
    return Plan(tuple(renames), already)


def _is_done(old: str, new: str, classes: list[str], last: tuple[Rename, ...]) -> bool:
    """Whether the class has got its new name: its old one is gone, or was given to another class then."""
    pairs = {(rename.old.name, rename.new.name) for rename in last}
    return old not in classes or ((old, new) in pairs and any(taken == old for _, taken in pairs))


def steps(renames: tuple[Rename, ...]) -> Steps:
    """An order of the renames, so that what is done of them can be told from the tree.

    For that no name may be in two steps of a phase.
    """
    old, new = (
        {_key(path) for path in paths} for paths in zip(*((r.old, r.new) for r in renames), strict=True)
    )
    away, home = [], []
    for number, rename in enumerate(renames):
        if _key(rename.new) in old or _key(rename.old) in new:
            between = rename.old.parent / f"{TEMPORARY}-{number}"
            away.append(Rename(rename.old, between))
            home.append(Rename(between, rename.new))
        else:
            home.append(rename)
    return Steps(tuple(away), tuple(home))


def _key(path: PurePosixPath) -> PurePosixPath:
    return path.parent / folded(path.name)


def _check_name(old: str, new: str) -> None:
    if not new:
        raise InvalidInput(
            f"Nothing would be left of the name {old!r}.", "Specify its new name in a mapping file: --mapping"
        )
    reasons = (
        ("/" in new or "\\" in new, "it would lie in another folder"),
        (new.startswith("."), "it would be hidden"),
        (
            new != new.strip() or not new.isprintable(),
            "it has blanks at an end, or characters that do not show",
        ),
        (len(os.fsencode(new)) > _LONGEST, f"it is longer than {_LONGEST} bytes"),
    )
    for applies, reason in reasons:
        if applies and new != old:
            raise InvalidInput(f"{old!r} cannot be renamed to {new!r}: {reason}.", "Use another name.")


def _check_collisions(part: Part, new: Mapping[str, str]) -> None:
    where = "" if part.path == PurePosixPath(".") else f" in {part.path}"
    taken = {folded(name): name for name in part.others}
    for name in part.others:
        if name.startswith(TEMPORARY):
            raise InvalidInput(
                f"{part.path / name} is left of a renaming whose journal is gone.", "Rename it by hand."
            )
    targets: dict[str, str] = {}
    for name in part.classes:
        key = folded(new[name])
        if key in taken and new[name] != name:
            raise InvalidInput(
                f"{name} cannot become {new[name]}{where}: {taken[key]} is there already.",
                "Rename or move that away, or give another name in a mapping file: --mapping",
            )
        if key in targets:
            both = f"{targets[key]} and {name}"
            raise InvalidInput(
                f"{both}{where} would have one name: {_both(new[targets[key]], new[name])}",
                "Rename one of them in a mapping file (--mapping), or merge their images.",
            )
        targets[key] = name


def _both(first: str, second: str) -> str:
    return first if first == second else f"{first}, {second} (the same where case does not count)"
