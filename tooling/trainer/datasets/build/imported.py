"""A download as a dataset: class names cleaned, files that are no images left out, the classes at the top."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainkit.data import folder_listing, image_folder
from trainkit.data.image_folder import Image, ImageFolder

from trainer.datasets import Report, silent
from trainer.datasets.build import copying
from trainer.datasets.build.copying import Copies, Link, size
from trainer.datasets.names import folded, tidy
from trainer.datasets.tables import files as tables
from trainer.errors import InvalidInput
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

_ZIP = b"PK\x03\x04"
_SPREADSHEETS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})


@dataclass(frozen=True)
class Import:
    """What becomes of a download."""

    copies: Copies
    classes: Mapping[str, str]
    """Name in the download → name in the dataset, of each class."""
    counts: Mapping[str, int]
    """Images by the class's name in the dataset."""
    inner: str
    """Where in the download the classes are; nothing for at its top."""
    left_out: tuple[PurePosixPath, ...]
    """Files that are not images, and what is in folders beside splits, by their paths in the download."""


def plan(root: Path, link: Link = "copy") -> Import:
    """What is taken of a folder.

    Raises `InvalidInput`, or `InputError` for a folder that has no folders of images.
    """
    folder = outer = image_folder.scan(root)
    inner = PurePosixPath()
    while deeper := image_folder.deeper(folder):
        inner /= deeper
        folder = image_folder.scan(root / inner)
    if not folder.images:
        raise InvalidInput(
            "The download has no images.",
            f"Images are files ending in {', '.join(sorted(image_folder.SUFFIXES))}.",
        )
    names = _names(folder)
    places = ((image.path, _renamed(image, names[image.label])) for image in folder.images)
    counts = dict.fromkeys(names.values(), 0)
    for image in folder.images:
        counts[names[image.label]] += 1
    copies = Copies(folder.root, copying.files(folder.root, places), link)
    beside = {inner / path for name in folder.beside for path in _files(folder.root, name)}
    left_out = tuple(sorted({*outer.passed_over, *beside}))
    return Import(copies, names, counts, "" if inner == PurePosixPath() else str(inner), left_out)


def _files(root: Path, name: str) -> Iterator[PurePosixPath]:
    return (path for path, _ in folder_listing.files(root, PurePosixPath(name)))


@contextmanager
def unpacked(workspace: Workspace, source: Path, report: Report = silent) -> Iterator[Path]:
    """Within: the folder of a download, which is that itself, or what a ZIP archive holds.

    Raises `InvalidInput` for a file that cannot be unpacked, or takes more space than there is.
    """
    if source.is_dir() or tables.of(source):
        yield source
        return
    if source.suffix.lower() in _SPREADSHEETS and source.exists():
        raise InvalidInput(f"{source} is a spreadsheet.", "Save it as CSV, in UTF-8, and import that.")
    if not source.exists():
        raise InvalidInput(f"There is no {source}.", "Pass a folder of images, a CSV file, or a ZIP archive.")
    if not zipfile.is_zipfile(source):
        raise _no_archive(source)
    with unfinished.folder(workspace, unfinished.DOWNLOAD) as folder:
        content = folder / "content"
        content.mkdir()
        try:
            _unpack(source, content, report)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
            reason = str(error).partition("\n")[0]  # a password, a method of compression, damage
            raise InvalidInput(
                f"{source} cannot be unpacked: {reason}",
                "Unpack it with another program, and import the folder.",
            ) from None
        yield content


def _no_archive(source: Path) -> InvalidInput:
    with source.open("rb") as file:
        begins_like_one = file.read(len(_ZIP)) == _ZIP
    if begins_like_one:
        return InvalidInput(
            f"{source} is a ZIP archive that was cut off: its end is missing.",
            "Download or copy it again, and compare its size with the original's.",
        )
    if source.suffix.lower() == ".txt":
        hint = f"If it is a table, rename it to {source.stem}.csv, and import that."
    else:
        hint = "Unpack it, and import the folder."
    return InvalidInput(f"{source} is not a ZIP archive.", hint)


def _unpack(source: Path, folder: Path, report: Report) -> None:
    with zipfile.ZipFile(source) as archive:
        members = [member for member in archive.infolist() if not _is_of_macos(member.filename)]
        needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
        if needed > free:
            raise InvalidInput(
                f"{source} takes {size(needed)} unpacked, and {folder.parent} has {size(free)} free.",
                "Free some space, or unpack it elsewhere and import the folder.",
            )
        for done, member in enumerate(members, start=1):
            archive.extract(member, folder)  # which keeps names with .. in them inside
            report("Unpacking", done, len(members))


def _is_of_macos(name: str) -> bool:
    """Whether its Finder put the file into the archive."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] == ".DS_Store"


def _names(folder: ImageFolder) -> dict[str, str]:
    """The classes that have images, and their new names."""
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for label in dict.fromkeys(image.label for image in folder.images):
        name = tidy(label) or label
        other = taken.setdefault(folded(name), label)
        if other != label:
            raise InvalidInput(
                f"The classes {other} and {label} would both be {name}.",
                "Rename one of the folders, or put their images into one.",
            )
        names[label] = name
    return dict(sorted(names.items()))


def _renamed(image: Image, name: str) -> PurePosixPath:
    """The path of an image in the dataset: below its split, if there is one, and its class."""
    place = 1 if image.split else 0
    parts = image.path.parts
    return PurePosixPath(*parts[:place], name, *parts[place + 1 :])
