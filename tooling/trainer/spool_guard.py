"""What a run left in its spool, before this machine delivers it: nothing in it may lead anywhere else.

A run is a stranger and may write what it likes into the folder, and into the journal. What delivers it has
the user's files and credentials: it must not follow a link, send or remove a file that is not the spool's,
store one where the run says, or ask another host.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from trainkit.spool_answers import Answer
from trainkit.spool_journal import Entry, Record, Spool

from trainer.errors import FileError

_FILE = re.compile(r"outbox/[0-9a-f]{32}/[^/\0]+")
_FOLDERS = ("outbox", "[0-9a-f]{32}", "translated")  # each within the one before
_A_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_A_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
_WHY = "It leads out of the run's own folder."


def clean(folder: Path) -> None:
    """Leave in the spool of a job that has ended what a spool consists of: files, in its own folders.

    All of that can be read and removed then. Links, pipes, other folders and the like, which hold nothing of
    the run, are removed. Raises `FileError` where that fails: nothing may be delivered from such a spool.
    """
    if not os.path.lexists(folder):
        return
    try:
        with _opened(folder.parent) as parent, _entered(parent, folder.name) as place:
            _clean(place, _FOLDERS)
    except OSError as problem:
        raise FileError(
            f"What the run left in {folder} cannot be cleaned: {problem.strerror}. Nothing is delivered.",
            "ls -lR shows what is there. Remove what does not belong to you, then: trainer sync",
        ) from None


def _clean(place: int, folders: Sequence[str]) -> None:
    for name in os.listdir(place):
        mode = os.lstat(name, dir_fd=place).st_mode
        if stat.S_ISDIR(mode):
            if folders and re.fullmatch(folders[0], name):
                with _entered(place, name) as inner:
                    _clean(inner, folders[1:])
            else:
                _remove(place, name)
        elif not stat.S_ISREG(mode) or name in folders:
            os.unlink(name, dir_fd=place)
        elif mode & 0o600 != 0o600:
            os.chmod(name, stat.S_IMODE(mode) | 0o600, dir_fd=place)


def _remove(place: int, name: str) -> None:
    """Remove a folder, however deep it is: what is in it comes to the top first."""
    waiting = [name]
    while waiting:
        folder = waiting.pop()
        with _entered(place, folder) as inner:
            for found in os.listdir(inner):  # noqa: PTH208 (of a descriptor)
                if stat.S_ISDIR(os.lstat(found, dir_fd=inner).st_mode):
                    with _entered(inner, found):  # to move a folder takes the right to write in it
                        waiting.append(f"{uuid.uuid4().hex}.removed")
                    os.rename(found, waiting[-1], src_dir_fd=inner, dst_dir_fd=place)
                else:
                    os.unlink(found, dir_fd=inner)
        os.rmdir(folder, dir_fd=place)


@contextlib.contextmanager
def _entered(place: int, name: str) -> Iterator[int]:
    """A folder in the opened one, whatever its mode was; raises `OSError` for a link."""
    mode = os.lstat(name, dir_fd=place).st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        os.chmod(name, stat.S_IMODE(mode) | 0o700, dir_fd=place)
    with _opened(name, _A_FOLDER, place) as inner:
        yield inner


@contextlib.contextmanager
def _opened(name: str | Path, flags: int = os.O_RDONLY, place: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags | os.O_CLOEXEC, dir_fd=place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class GuardedSpool(Spool):
    """A spool whose journal has no records with files that are not its own."""

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """As of any spool, but such a record reads as torn."""
        for entry in super().entries(start):
            yield entry if entry.record is None or self._may_pass(entry.record) else Entry(None, entry.end)

    def set_aside(self) -> None:
        """Keep those records with what the server refused."""
        left = [entry.record for entry in super().entries(self.delivered()) if entry.record is not None]
        said = [
            {"record": record, "status": 0, "answer": _WHY} for record in left if not self._may_pass(record)
        ]
        lines = list(map(json.dumps, said))
        if not lines:
            return
        refused = self.folder / "refused"
        known = set(refused.read_text().splitlines()) if refused.exists() else set()
        with refused.open("a") as file:
            file.writelines(f"{line}\n" for line in lines if line not in known)

    def is_own(self, file: Path) -> bool:
        """Whether that is a file of the outbox."""
        with contextlib.suppress(OSError, ValueError), self.opened(file):
            return True
        return False

    @contextlib.contextmanager
    def opened(self, file: Path) -> Iterator[BinaryIO]:
        """A file of the outbox, to be read; raises `OSError` for any other, and where a link leads to it."""
        place = Path(os.path.relpath(file, self.folder))
        named = place.parent.parent / place.name if place.parent.name == "translated" else place
        # Within translated/ is what delivery itself made of the file beside it.
        if _FILE.fullmatch(str(named)) is None or ".." in place.parts:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        with contextlib.ExitStack() as stack:
            at = stack.enter_context(_opened(self.folder, _A_FOLDER))
            for name in place.parts[:-1]:
                at = stack.enter_context(_opened(name, _A_FOLDER, at))
            found = stack.enter_context(_opened(place.name, _A_FILE, at))
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
            yield stack.enter_context(open(found, "rb", closefd=False))

    def _may_pass(self, record: Record) -> bool:
        return "file" not in record or self.is_own(self.folder / str(record["file"]))


def refusal() -> Answer:
    """The answer to what is not sent at all, as of a server that refuses it for good."""
    return Answer(400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": _WHY}))


def is_path(path: str) -> bool:
    """Whether it is a path on the server, and no other host."""
    return path.startswith("/") and path.isprintable()


def is_below(root: str | None, uri: str, folder: str) -> bool:
    """Whether a folder below the URI is behind the server, or below `root`, which the server named."""
    parts = urlsplit(uri)
    if ".." in (*re.split(r"[/\\]|%2[fF]", parts.path), *re.split(r"[/\\]", folder)) or folder.startswith(
        "/"
    ):
        return False
    if parts.scheme == "mlflow-artifacts" and not parts.netloc:
        return True
    return root is not None and uri.startswith(f"{root.rstrip('/')}/")
