"""Every file of a dataset with what tells that it was changed, and what is in it.

Hidden files and folders are no part of a dataset, as for trainkit. A link counts as what it leads to. What
has no content to speak of (a broken link, a pipe, a file that may not be read) is an error: a digest without
it would say that all is there.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from pathlib import Path
from typing import NamedTuple

from trainer.datasets.inside import MountedFolder
from trainer.errors import InvalidInput

# The path of the one file of a dataset that is no folder: nothing in a folder can have that name.
ITSELF = "."
_TRIES = 3


class Stamp(NamedTuple):
    """What the file system says of a file. One that has the same was not changed, as git has it too."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Read(NamedTuple):
    """A file that was read, with its stamp when it was."""

    path: str
    stamp: Stamp
    sha256: str


def files(root: Path, mounted: MountedFolder | None = None) -> dict[str, Stamp]:
    """Path relative to `root` ("/" between its parts) → stamp. No file is opened.

    Raises `InvalidInput`, also for a link that a run cannot follow where the folder is `mounted`.
    """
    try:
        status = root.stat()
        if not stat.S_ISDIR(status.st_mode):
            return {ITSELF: _stamp(status)}
        stamps: dict[str, Stamp] = {}
        _list(str(root), "", ((status.st_dev, status.st_ino),), stamps, mounted)
    except FileNotFoundError as error:
        raise InvalidInput(
            f"{_shown(error.filename)} is not there, or is a link that leads nowhere.",
            "Remove the link, or call again when nothing is moved in the dataset any more.",
        ) from None
    except OSError as error:
        raise _unreadable(error) from None
    return stamps


def read(root: Path, path: str) -> Read:
    """The SHA-256 of a file's content. One that is written to meanwhile is read again.

    Raises `InvalidInput` for one that changes all the time, went away or cannot be read.
    """
    file_path = root if path == ITSELF else root / path
    try:
        for _ in range(_TRIES):
            with file_path.open("rb") as file:
                before = _stamp(os.fstat(file.fileno()))
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                if _stamp(os.fstat(file.fileno())) == before:
                    return Read(path, before, digest)
    except FileNotFoundError:
        raise InvalidInput(
            f"{file_path} disappeared while the dataset was read.",
            "Run the command again when nothing changes the dataset any more.",
        ) from None
    except OSError as error:
        raise _unreadable(error) from None
    raise InvalidInput(
        f"{file_path} is being written to: it changed each time while it was read.",
        "Run the command again when nothing changes the dataset any more.",
    )


def _list(
    root: str,
    folder: str,
    above: tuple[tuple[int, int], ...],
    stamps: dict[str, Stamp],
    mounted: MountedFolder | None,
) -> None:
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            path = folder + entry.name
            if not entry.name.isascii() and not _is_text(entry.name):
                raise InvalidInput(
                    f"The name of {_shown(entry.path)} is not valid UTF-8.",
                    "Rename it; or all of them: convmv -r -f WINDOWS-1252 -t UTF-8 --notest "
                    + shlex.quote(_shown(root)),
                )
            status = entry.stat()
            if mounted and entry.is_symlink():
                mounted.check(entry.path)
            if stat.S_ISREG(status.st_mode):
                stamps[path] = _stamp(status)
            elif stat.S_ISDIR(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                if (
                    identity not in above
                ):  # else a link to a folder that it lies in, where all is listed already
                    _list(root, f"{path}/", (*above, identity), stamps, mounted)
            else:
                raise InvalidInput(
                    f"{entry.path} is not a file or folder, but a pipe, a socket or a device.",
                    "Take it out of the dataset: it has no content that a digest could be taken of.",
                )


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _shown(path: object) -> str:
    """A path with what is no text in it replaced: a terminal could not print it."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def _unreadable(error: OSError) -> InvalidInput:
    return InvalidInput(
        f"{_shown(error.filename)} cannot be read: {error.strerror}.",
        f"Let the user that runs trainer read it: chmod -R u+rX {shlex.quote(_shown(error.filename))}",
    )
