"""What lies in a folder: sorted, without what is hidden, with names that are text."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from trainkit.errors import InputError


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What is not hidden in the folder, sorted by name. Raises `InputError` for a name that is not UTF-8."""
    with os.scandir(folder) as listed:
        entries = sorted((e for e in listed if not e.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        # os.fsdecode makes surrogates of bytes that are no UTF-8.
        if not entry.name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in entry.name):
            shown = os.fsencode(entry.path).decode(errors="replace")
            raise InputError(
                f"The name of {shown} is not UTF-8.",
                "Rename it; or all of them: convmv -r -f WINDOWS-1252 -t UTF-8 --notest "
                + shlex.quote(os.fsencode(folder).decode(errors="replace")),
            )
    return entries


def folders(folder: Path) -> list[str]:
    """The names of the folders in it, and of links to folders."""
    return [entry.name for entry in visible(folder) if Path(entry).is_dir()]


def loose(root: Path, folder: PurePosixPath) -> list[PurePosixPath]:
    """The files that lie directly in the folder."""
    return [folder / entry.name for entry in visible(root / folder) if Path(entry).is_file()]


def files(root: Path, folder: PurePosixPath) -> Iterator[tuple[PurePosixPath, bool]]:
    """What lies in the folder and its folders, and whether it is a file, or a broken link to one."""
    for entry in visible(root / folder):
        if entry.is_dir(follow_symlinks=False):
            yield from files(root, folder / entry.name)
        else:
            yield folder / entry.name, entry.is_file(follow_symlinks=False) or _is_link_to_file(entry)


def _is_link_to_file(entry: os.DirEntry[str]) -> bool:
    """Also one that is broken: whoever opens it is told."""
    path = entry.path
    # pathlib raises where links go in circles.
    return entry.is_symlink() and (os.path.isfile(path) or not os.path.exists(path))  # noqa: PTH110, PTH113
