"""What a dataset holds at a moment: the size and hash of each file, and one digest of all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

from trainkit.data import image_folder

from trainer.datasets import Report, in_threads, index, listing, many_objects, silent
from trainer.datasets.inside import MountedFolder
from trainer.datasets.listing import ITSELF, Read

_AT_ONCE = 32  # files that a thread reads before it reports


class File(NamedTuple):
    """A file's size in bytes and the SHA-256 of its content (64 hex digits)."""

    size: int
    sha256: str


Files: TypeAlias = Mapping[str, File]
"""By the path relative to the dataset, with "/" between its parts."""


@dataclass(frozen=True)
class Contents:
    """All files of a dataset. `reads`: how many of them had to be read for that."""

    files: Files
    reads: int = 0

    @cached_property
    def digest(self) -> str:
        """64 hex digits; the first 8 are what a run's MLflow input has (see `image_folder.folder_digest`).

        Of a dataset that is one file, they are the file's own.
        """
        if ITSELF in self.files:
            return self.files[ITSELF].sha256
        return image_folder.manifest_digest((path, file.sha256) for path, file in self.files.items())

    @cached_property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files.values())


@many_objects()
def take(
    root: Path,
    index_path: Path,
    report: Report = silent,
    *,
    full: bool = False,
    mounted: MountedFolder | None = None,
) -> Contents:
    """Look at every file, and read those that the index `index_path` does not vouch for; with `full`, all.

    Nothing but the index is written. Raises `InvalidInput` (see `listing`).
    """
    begun = time.time_ns()
    stamps = listing.files(root, mounted)
    before = index.Index() if full else index.load(index_path)
    hashes = {path: before.sha256(path, stamp) for path, stamp in stamps.items()}
    unknown = [path for path, sha256 in hashes.items() if sha256 is None]
    for done, item in enumerate(_read_all(root, unknown), start=1):
        stamps[item.path], hashes[item.path] = item.stamp, item.sha256
        if done % _AT_ONCE == 0 or done == len(unknown):
            report("Reading", done, len(unknown))
    index_now = {path: sha256 for path, sha256 in hashes.items() if sha256}
    if unknown or len(before.entries) != len(stamps):
        index.save(index_path, begun, stamps, index_now)
    return Contents({path: File(stamps[path][0], index_now[path]) for path in stamps}, len(unknown))


def _read_all(root: Path, paths: Sequence[str]) -> Iterator[Read]:
    """In threads: while one waits for the disk or hashes, Python does something else."""
    parts = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    for some in in_threads(lambda part: list(map(partial(listing.read, root), part)), parts):
        yield from some
