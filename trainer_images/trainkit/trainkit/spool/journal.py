"""The write-ahead journal of a run: what was logged lies on this disk before the log call returns.

A spool is a folder. `journal` holds one record a line, `CRC32 JSON`; `outbox/N/NAME` holds files that wait;
`delivered` says up to which byte of the journal the server has everything, and `stored`, if it is there, the
same of what the run leaves to its launcher (`launcher_records.py`); `run.json` is the run as it was when it
began. Nothing here needs MLflow: the launcher on the host uses the same code as a run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Record = dict[str, object]
LONGEST = 1 << 26  # bytes of a record; a server takes no more in a request by far


class SpoolError(Exception):
    """What was to be logged could not be put on this disk."""


@dataclass(frozen=True)
class Entry:
    """A record, or None where the line is torn; `end` is the byte after it."""

    record: Record | None
    end: int


class Spool:
    """One run's spool. Any number of processes may append; one at a time delivers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal: int | None = None

    @property
    def journal(self) -> Path:
        """The file of records."""
        return self.folder / "journal"

    def create(self, run: Mapping[str, object]) -> None:
        """Make the folder, and write down the run as the server (or nobody yet) knows it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._replace("run.json", json.dumps(run))

    def run(self) -> Record:
        """What `create` wrote down: the `run` of MLflow's REST API."""
        payload = json.loads((self.folder / "run.json").read_text())
        return dict(payload)

    def append(self, record: Record) -> None:
        """Write a record down; raises `SpoolError` when the disk does not take it.

        One write to a file that is only appended to: processes and threads do not mix their lines, and the
        page cache survives the death of any of them. The line feed in front ends what a killed one left.
        """
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        framed = b"\n%08x %s\n" % (zlib.crc32(line), line)
        if len(framed) > LONGEST:
            raise SpoolError(f"{len(line):,} bytes are more than can be logged at once: {LONGEST:,}.")
        try:
            if self._journal is None:
                self._journal = _opened(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            written = os.write(self._journal, framed)
        except OSError as error:
            raise self._full(error) from error
        if written != len(framed):  # the rest did not fit; what is there reads as torn
            raise self._full(OSError(28, "No space left on device"))

    def keep(self, file: Path, name: str) -> str:
        """Copy a file into the outbox, on the disk for good; returns its place in the spool's folder.

        Raises `SpoolError` when the disk does not take it, and what `open` raises of a missing file.
        """
        place = self.folder / "outbox" / uuid.uuid4().hex
        with file.open("rb") as source:
            try:
                place.mkdir(parents=True)
                with (place / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
                    copy.flush()
                    os.fsync(copy.fileno())
            except OSError as error:
                shutil.rmtree(place, ignore_errors=True)
                raise self._full(error) from error
        return str((place / name).relative_to(self.folder))

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """The records from a byte on; a last line without its end is none yet."""
        try:
            descriptor = _opened(self.journal, os.O_RDONLY)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "rb") as journal:
            journal.seek(start)
            end = start
            while line := journal.readline(LONGEST):
                end += len(line)
                if is_too_long := len(line) == LONGEST and line[-1:] != b"\n":
                    line = _end_of_line(journal)
                    end = journal.tell()
                if not line.endswith(b"\n"):
                    return
                if line != b"\n":
                    yield Entry(None if is_too_long else _parsed(line), end)

    def delivered(self) -> int:
        """Up to which byte the server has everything, except for what is left to the launcher."""
        return self._byte("delivered")

    def acknowledge(self, end: int) -> None:
        """The server has everything up to that byte. Raises `OSError` on a full disk."""
        self._replace("delivered", str(end))

    def leave_artifacts(self) -> None:
        """Have the run leave to its launcher the files that do not go by way of the server."""
        self.acknowledge_stored(0)

    @property
    def leaves_artifacts(self) -> bool:
        """Whether the run does that."""
        return (self.folder / "stored").exists()

    def stored(self) -> int:
        """Up to which byte nothing waits for the launcher."""
        delivered = self.delivered()
        return min(self._byte("stored"), delivered) if self.leaves_artifacts else delivered

    def acknowledge_stored(self, end: int) -> None:
        """Nothing up to that byte waits for the launcher. Raises `OSError` on a full disk."""
        self._replace("stored", str(end))

    def _byte(self, name: str) -> int:
        try:
            with os.fdopen(_opened(self.folder / name, os.O_RDONLY), "rb") as file:
                number = int(file.read(20))
            return number if 0 <= number <= self.journal.stat().st_size else 0
        except (FileNotFoundError, ValueError):
            return 0

    def pending(self) -> list[Record]:
        """The records that the server does not have yet."""
        return [entry.record for entry in self.entries(self.delivered()) if entry.record is not None]

    def flush(self) -> None:
        """Have the kernel write the journal to the disk itself, for the case of a power cut."""
        with contextlib.suppress(FileNotFoundError):
            descriptor = _opened(self.journal, os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def names(self) -> dict[str, str]:
        """What was made up while the server was away, and what the server calls it."""
        try:
            return dict(json.loads((self.folder / "names.json").read_text()))
        except FileNotFoundError:
            return {}

    def name(self, names: Mapping[str, str]) -> None:
        """Remember how the server calls what had made-up names."""
        self._replace("names.json", json.dumps({**self.names(), **names}))

    def sending(self) -> int | None:
        """The lock of the one who delivers, or None where somebody else does."""
        descriptor = _opened(self.folder / "sending.lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _replace(self, name: str, text: str) -> None:
        temporary = self.folder / f".{name}.{os.getpid()}"
        temporary.write_text(text)
        temporary.replace(self.folder / name)

    def _full(self, error: OSError) -> SpoolError:
        return SpoolError(
            f"What was logged could not be written to {self.folder}: {error.strerror}. "
            "Nothing logged before is lost; make space on the disk that holds the run's folder."
        )


def _parsed(line: bytes) -> Record | None:
    check, _, text = line[:-1].partition(b" ")
    try:
        if int(check, 16) != zlib.crc32(text):
            return None
        payload = json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _end_of_line(journal: BinaryIO) -> bytes:
    """Go to the end of a line that is too long; returns the last of it. What is a hole is not read."""
    while True:
        at = journal.tell()
        try:
            journal.seek(os.lseek(journal.fileno(), at, os.SEEK_DATA))
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data behind it
                return b""
        if len(line := journal.readline(LONGEST)) < LONGEST:
            return line


def _opened(file: Path, flags: int) -> int:
    """A file of the spool itself; raises `OSError` for a link, a pipe and the like."""
    descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "It is not a file", str(file))
    return descriptor
