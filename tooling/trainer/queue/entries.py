"""The entries of a queue, as they are written down: each in a folder that appears whole and goes whole.

A workspace may be on a file system that several machines share: each starts its own entries only, since what
they need, and their images, are of that machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeVar

from trainer import atomic_files
from trainer.queue import folder as queue_folder
from trainer.queue.folder import EntryFolder
from trainer.workspace.settings import Workspace

SCHEMA = 1
"""Of an entry. It is raised when a trainer that knows only the number before would misunderstand one."""
CANCELLED = "CANCELLED"
"""How an entry ended that was never started; else it ended as its run did."""
_HISTORY_READ = 1 << 20  # bytes
T = TypeVar("T")


@dataclass(frozen=True)
class After:
    """A run, or another entry, that has to finish before an entry begins."""

    kind: Literal["run", "entry"]
    id: str
    name: str = ""

    def __str__(self) -> str:
        """As a user knows it."""
        return self.name or self.id[:8]


@dataclass(frozen=True)
class Entry:
    """A run that waits for its turn: what it needs of the machine, and what was said besides its plan."""

    id: str
    project: str
    backend: str
    gpus: str = "none"
    cpus: int | None = None
    memory: str | None = None
    name: str = ""
    """Of the run, where its user chose one."""
    image: str = ""
    """The tag of its image, and the identity that the backend knows it by."""
    image_id: str = ""
    after: tuple[After, ...] = ()
    tracking_uri: str | None = None
    """The server that was named when it was queued; None for the workspace's."""
    offline: bool = False
    queued: float = field(default_factory=time.time)
    """In seconds since 1970."""
    host: str = field(default_factory=socket.gethostname)

    @property
    def is_here(self) -> bool:
        """Whether this machine is to start it."""
        return self.host == socket.gethostname()

    @property
    def title(self) -> str:
        """What it is called where people read it."""
        return f"{self.id} ({self.name or self.project})"


@dataclass(frozen=True)
class Place:
    """Where an entry stands."""

    priority: int = 0
    position: float = 0.0


@dataclass(frozen=True)
class Passed:
    """How often an entry was passed over, and when for the first time."""

    times: int = 0
    since: float | None = None


@dataclass(frozen=True)
class Reason:
    """Why an entry is not started."""

    why: str
    hint: str = ""
    is_cut: bool = False


@dataclass(frozen=True)
class Started:
    """The run that an entry became. Until `began`, it may be that its job never existed."""

    run_id: str
    began: bool = False


@dataclass(frozen=True)
class Ended:
    """What became of an entry that is gone: CANCELLED, or the status that its run ended with."""

    id: str
    project: str
    name: str
    end: str
    run_id: str = ""
    at: float = field(default_factory=time.time)


def new_folder(home: Path) -> EntryFolder:
    """A folder for an entry that is being made, in `home`; others cannot look into it."""
    folder = EntryFolder(home / "entry")
    folder.path.mkdir(mode=0o700)
    return folder


def add(workspace: Workspace, prepared: EntryFolder, entry: Entry, place: Place) -> EntryFolder:
    """Make the prepared folder an entry; from now on it is one, whatever becomes of this process."""
    write(prepared.place, place)
    payload = {"schema": SCHEMA, **asdict(entry)}
    atomic_files.write(prepared.record, json.dumps(payload).encode())
    target = queue_folder.of(workspace).entry(entry.id)
    target.path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.rename(prepared.path, target.path)
    atomic_files.sync_folder(target.path.parent)
    touch(workspace)
    return target


def touch(workspace: Workspace) -> None:
    """Have a process that waits look at once."""
    queue = queue_folder.of(workspace)
    queue.path.mkdir(parents=True, exist_ok=True)
    queue.changed.write_text(str(time.time_ns()))


def all_entries(workspace: Workspace) -> list[tuple[Entry, EntryFolder]]:
    """Those that this version of trainer understands, in no particular order."""
    found = ((_entry(folder), folder) for folder in queue_folder.of(workspace).entries())
    return [(entry, folder) for entry, folder in found if entry]


def unreadable(workspace: Workspace) -> list[EntryFolder]:
    """Those that were written by a newer version of trainer, or are damaged."""
    folders = queue_folder.of(workspace).entries()
    return [folder for folder in folders if folder.record.exists() and _entry(folder) is None]


def images(workspace: Workspace) -> frozenset[str]:
    """The tags of the images that entries are for."""
    return frozenset(entry.image for entry, _ in all_entries(workspace))


def place(folder: EntryFolder) -> Place:
    """Where it stands."""
    return read(folder.place, Place) or Place()


def passed(folder: EntryFolder) -> Passed:
    """How often it was passed over."""
    return read(folder.passed, Passed) or Passed()


def held(folder: EntryFolder) -> Reason | None:
    """Why its user has to release it first; None where that is not so."""
    return read(folder.held, Reason)


def waits(folder: EntryFolder) -> Reason | None:
    """What it waited for when it was last tried."""
    return read(folder.waits, Reason)


def started(folder: EntryFolder) -> Started | None:
    """The run that it became, if it did."""
    return read(folder.started, Started)


def write(path: Path, value: Place | Passed | Reason | Started) -> None:
    """Write it down, wholly or not at all."""
    with contextlib.suppress(FileNotFoundError):  # the entry was removed meanwhile
        atomic_files.write(path, json.dumps(asdict(value)).encode())


def end(workspace: Workspace, entry: Entry, folder: EntryFolder, how: str, run_id: str = "") -> None:
    """The entry is gone, and remembered. The caller holds its lock. Safe to call twice."""
    queue = queue_folder.of(workspace)
    line = json.dumps(asdict(Ended(entry.id, entry.project, entry.name, how, run_id)))
    with queue.history.open("a", encoding="utf-8") as lines:
        lines.write(f"{line}\n")
    folder.record.unlink(missing_ok=True)  # first: what has none is no entry
    shutil.rmtree(folder.path, ignore_errors=True)
    touch(workspace)


def ended(workspace: Workspace) -> dict[str, Ended]:
    """The latest entries that are gone, by their ids."""
    try:
        with queue_folder.of(workspace).history.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _HISTORY_READ))
            lines = file.read().splitlines()
    except OSError:
        return {}
    found = (_made(line, Ended) for line in lines)
    return {each.id: each for each in found if each}


def read(path: Path, kind: type[T]) -> T | None:
    """What is written there; None where there is nothing of that kind. Unknown keys are ignored."""
    try:
        return _made(path.read_bytes(), kind)
    except OSError:
        return None


def _made(text: bytes, kind: type[T]) -> T | None:
    try:
        payload = json.loads(text)
        return kind(**_known(payload, kind))
    except (ValueError, TypeError, RecursionError):
        return None


def _known(payload: object, kind: type) -> Mapping[str, object]:
    if not isinstance(payload, dict):
        raise TypeError("this is no record")
    return {name: payload[name] for name in _names(kind) if name in payload}


def _names(kind: type) -> Iterator[str]:
    yield from (item.name for item in fields(kind))


def _entry(folder: EntryFolder) -> Entry | None:
    """None for what a newer schema is needed for, or is torn."""
    try:
        payload = json.loads(folder.record.read_bytes())
        if payload.get("schema", 0) > SCHEMA:
            return None
        values = dict(_known(payload, Entry))
        values["after"] = tuple(After(**_known(each, After)) for each in payload.get("after", ()))  # type: ignore[arg-type]
        entry = Entry(**values)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    texts = (entry.id, entry.project, entry.backend, entry.gpus, entry.host, entry.name, entry.image)
    is_sound = all(isinstance(text, str) for text in texts) and isinstance(entry.queued, int | float)
    return entry if is_sound and entry.id == folder.path.name else None
