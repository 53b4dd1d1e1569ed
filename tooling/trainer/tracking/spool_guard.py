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
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from trainkit.spool.journal import Entry, Record, Spool
from trainkit.spool.launcher_records import waiting
from trainkit.spool.responses import Response

from trainer.errors import FileError
from trainer.tracking import spool_owner
from trainer.tracking.spool_records import is_made_up, is_sound
from trainer.workspace.run_folder import RunFolder

_FILE = re.compile(r"outbox/[0-9a-f]{32}/[^/\0]+")
_FOLDERS = ("outbox", "[0-9a-f]{32}", "translated")  # each within the one before
_A_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_A_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
_WHY = "It leads out of the run's own folder."
_NO_RECORD = "It is not a record of a run."
_LONGEST = 1 << 26
# Read as a whole: what is larger was made so to fill this machine's memory.
_SMALL, _SMALL_SIZE = ("run.json", "names.json", "delivered", "stored"), 1 << 24


def clean(folder: RunFolder) -> None:
    """Leave in the spool of a run whose job has ended what a spool consists of: files, in its own folders.

    All of that can be read and removed then. Links, pipes, other folders and the like, which hold nothing of
    the run, are removed. Raises `FileError` where that fails: nothing may be delivered from such a spool.
    """
    spool = folder.spool
    if not os.path.lexists(spool):
        return
    try:
        with _opened(folder.path) as parent, _entered(parent, spool.name) as directory:
            _clean(directory, _FOLDERS)
        spool_owner.restore(folder)
    except OSError as error:
        raise FileError(
            f"What the run left in {spool} cannot be cleaned: {error.strerror}. Nothing is delivered.",
            "ls -lR shows what is there. Remove what does not belong to you, then: trainer sync",
        ) from None


def _clean(directory: int, folders: Sequence[str]) -> None:
    for name in os.listdir(directory):
        status = os.lstat(name, dir_fd=directory)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            if folders and re.fullmatch(folders[0], name):
                with _entered(directory, name) as inner:
                    _clean(inner, folders[1:])
            else:
                _remove(directory, name)
        elif not stat.S_ISREG(mode) or name in folders or (name in _SMALL and status.st_size > _SMALL_SIZE):
            os.unlink(name, dir_fd=directory)
        elif mode & 0o600 != 0o600:
            os.chmod(name, stat.S_IMODE(mode) | 0o600, dir_fd=directory)


def _remove(directory: int, name: str) -> None:
    """Remove a folder, however deep it is: what is in it comes to the top first."""
    waiting = [name]
    while waiting:
        folder = waiting.pop()
        with _entered(directory, folder) as inner:
            for entry in os.listdir(inner):  # noqa: PTH208 (of a descriptor)
                if stat.S_ISDIR(os.lstat(entry, dir_fd=inner).st_mode):
                    with _entered(inner, entry):  # to move a folder takes the right to write in it
                        waiting.append(f"{uuid.uuid4().hex}.removed")
                    os.rename(entry, waiting[-1], src_dir_fd=inner, dst_dir_fd=directory)
                else:
                    os.unlink(entry, dir_fd=inner)
        os.rmdir(folder, dir_fd=directory)


@contextlib.contextmanager
def _entered(directory: int, name: str) -> Iterator[int]:
    """A folder in the opened one, whatever its mode was; raises `OSError` for a link."""
    mode = os.lstat(name, dir_fd=directory).st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        os.chmod(name, stat.S_IMODE(mode) | 0o700, dir_fd=directory)
    with _opened(name, _A_FOLDER, directory) as inner:
        yield inner


@contextlib.contextmanager
def _opened(name: str | Path, flags: int = os.O_RDONLY, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class SoundSpool(Spool):
    """A spool whose journal has no records but those that trainkit writes; what is none reads as torn."""

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """As of any spool, without invalid names and values."""
        for entry in super().entries(start):
            yield (
                entry
                if entry.record is None or self._why_not(entry.record) is None
                else Entry(None, entry.end)
            )

    def names(self) -> dict[str, str]:
        """As of any spool, without invalid names and values."""
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            return {
                name: value
                for name, value in super().names().items()
                if _is_name(name) and isinstance(value, str)
            }
        return {}

    def refused(self) -> int:
        """How many records the server refused, or were not sent."""
        with contextlib.suppress(FileNotFoundError), (self.folder / "refused").open("rb") as file:
            return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
        return 0

    def _why_not(self, record: Record) -> str | None:
        """Why the record is not to be used."""
        return None if is_sound(record) else _NO_RECORD


def _is_name(name: str) -> bool:
    return is_made_up(name.removeprefix("models:/"))


class GuardedSpool(SoundSpool):
    """A spool whose journal has no records with files that are not its own, either."""

    def set_aside(self) -> None:
        """Keep the records that are not used with what the server refused."""
        lines: dict[bytes, None] = {}
        for entry in waiting(self, partial(Spool.entries, self)):
            if entry.record is not None and (why := self._why_not(entry.record)):
                text = json.dumps({"record": entry.record, "status": 0, "answer": why})
                lines[f"{text}\n".encode()] = None
        if not lines:
            return
        with (self.folder / "refused").open("a+b") as file:
            file.seek(0)
            while line := file.readline(_LONGEST):
                lines.pop(line, None)
            file.writelines(lines)

    def is_own(self, file: Path) -> bool:
        """Whether that is a file of the outbox."""
        with contextlib.suppress(OSError, ValueError), self.opened(file):
            return True
        return False

    @contextlib.contextmanager
    def opened(self, file: Path) -> Iterator[BinaryIO]:
        """A file of the outbox, to be read; raises `OSError` for any other, and where a link leads to it."""
        directory = Path(os.path.relpath(file, self.folder))
        named = (
            directory.parent.parent / directory.name if directory.parent.name == "translated" else directory
        )
        # Within translated/ is what delivery itself made of the file beside it.
        if _FILE.fullmatch(str(named)) is None or ".." in directory.parts:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        with contextlib.ExitStack() as stack:
            at = stack.enter_context(_opened(self.folder, _A_FOLDER))
            for name in directory.parts[:-1]:
                at = stack.enter_context(_opened(name, _A_FOLDER, at))
            descriptor = stack.enter_context(_opened(directory.name, _A_FILE, at))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
            yield stack.enter_context(open(descriptor, "rb", closefd=False))

    def _why_not(self, record: Record) -> str | None:
        if "file" in record and not self.is_own(self.folder / str(record["file"])):
            return _WHY
        return super()._why_not(record)


def refusal() -> Response:
    """The answer to what is not sent at all, as of a server that refuses it for good."""
    return Response(400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": _WHY}))


def is_path(path: str) -> bool:
    """Whether it is a path on the server, and no other host."""
    return path.startswith("/") and path.isprintable()


def is_below(root: str | None, uri: str, folder: str) -> bool:
    """Whether a folder below the URI is behind the server, or below `root`, which the server named.

    However it is written: stores take `%2e` for a dot, some more than once.
    """
    if not _is_plain(folder) or _unquoted(folder).startswith("/"):
        return False
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts" and not parts.netloc:
        return _is_plain(uri)
    below = uri.removeprefix(f"{(root or '').rstrip('/')}/")
    if not root or below == uri or not _is_plain(below):
        return False
    if parts.scheme not in ("", "file"):
        return True
    directory = Path(_unquoted(parts.path), _unquoted(folder))  # perhaps through a link of this machine's
    return directory.resolve().is_relative_to(Path(_unquoted(urlsplit(root).path)).resolve())


def _is_plain(path: str) -> bool:
    path_text = _unquoted(path)
    return path_text.isprintable() and not set(path_text) & set("?#\\") and ".." not in path_text.split("/")


def _unquoted(text: str) -> str:
    while (less := unquote(text)) != text:
        text = less
    return text
