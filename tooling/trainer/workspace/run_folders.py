"""What is written down about a live run, so that it can be ended truthfully whoever dies meanwhile.

Each live run has a folder .trainer/runs/RUN_ID. The process that looks after the run holds a lock in it; a
folder whose lock is free belongs to a run that nobody looks after. The workspace may be on a file system that
several machines share: each ends its own runs only, since no other sees their containers and processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from trainer import locks
from trainer.locks import Lock
from trainer.workspace import refusals
from trainer.workspace.settings import Workspace

UNNAMED = "new-*"  # the folders of launches that have no run yet
_FILE = "record.json"
_LOCK = "looked-after"
_STOPPED, _ENDED = "stopped-by", "ended"
_INTENT, _LAUNCHING = "launch.json", "launching"
_HISTORY = "runs.jsonl"
_HISTORY_READ = 1 << 20  # bytes: some thousands of runs


@dataclass(frozen=True)
class Record:
    """A live run: where it is tracked and where it is executed."""

    run_id: str
    project: str
    backend: str
    tracking_uri: str
    own_server: bool
    secret_names: tuple[str, ...] = ()
    name: str = ""
    image: str = ""
    keep_files: bool = False
    host: str = field(default_factory=socket.gethostname)
    """The machine that started the run and has its container or process."""
    offline_id: str = ""
    """The id that it had before a server gave it its own."""
    started: float = field(default_factory=time.time)
    """In seconds since 1970."""

    @property
    def is_here(self) -> bool:
        """Whether this machine has the run."""
        return self.host == socket.gethostname()


def folder(workspace: Workspace, run_id: str) -> Path:
    """The run's own folder on this machine."""
    return workspace.state / "runs" / run_id


def new_folder(workspace: Workspace) -> Path:
    """A folder for a run that has no id yet."""
    runs = workspace.state / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=UNNAMED.rstrip("*"), dir=runs))


@contextlib.contextmanager
def launching(prepared: Path, record: Record) -> Iterator[None]:
    """Within: the run is made on the server, which gives it its id, and then written down.

    Until then the record has none, and the prepared folder's name, as a tag of the run, has to do: whoever is
    killed in between leaves what `unfinished` finds.
    """
    with locks.exclusive(prepared / _LAUNCHING):
        (prepared / _INTENT).write_text(json.dumps(asdict(record)))
        yield


def unfinished(workspace: Workspace) -> Iterator[tuple[Record, Path]]:
    """Launches of this machine that died when they may have made a run and had not written it down."""
    for path in sorted((workspace.state / "runs").glob(f"*/{_INTENT}")):
        with contextlib.suppress(OSError):
            record = _read(path.read_bytes())
            is_dead = not locks.held(path.with_name(_LAUNCHING)) and not path.with_name(_FILE).exists()
            if record and record.is_here and is_dead:
                yield record, path.parent


def write(workspace: Workspace, prepared: Path, record: Record) -> tuple[Path, Lock]:
    """Make the prepared folder the run's own: the folder, and the lock of who looks after the run."""
    lock = locks.exclusive(prepared / _LOCK)  # nobody else knows of a folder that was just made
    text = json.dumps(asdict(record))
    (prepared / _FILE).write_text(text)
    made = prepared.rename(folder(workspace, record.run_id))
    with (workspace.state / _HISTORY).open("a") as history:
        history.write(text + "\n")
    return made, lock


def rename(workspace: Workspace, record: Record, run_id: str) -> None:
    """Write down the id that a server gave to a run that was started without one."""
    known = replace(record, run_id=run_id, offline_id=record.run_id)
    with (workspace.state / _HISTORY).open("a") as history:
        history.write(json.dumps(asdict(known)) + "\n")


def history(workspace: Workspace) -> list[Record]:
    """The latest runs that this workspace started, ended or not; the newest last."""
    try:
        with (workspace.state / _HISTORY).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _HISTORY_READ))
            lines = file.read().splitlines()
    except OSError:
        return []
    found = {record.run_id: record for line in lines if (record := _read(line))}
    renamed = {record.offline_id for record in found.values()}
    return sorted(
        (record for record in found.values() if record.run_id not in renamed),
        key=lambda record: record.started,
    )


def unattended(workspace: Workspace) -> Iterator[tuple[Record, Lock]]:
    """The runs of this machine that nobody looks after, each with the lock that makes the caller who does."""
    for record, path in _all(workspace):
        lock = locks.acquire(path / _LOCK) if record.is_here and path.exists() else None
        if lock is None:
            continue
        if not (path / _FILE).exists():
            lock.release()  # ended in between
            shutil.rmtree(path, ignore_errors=True)
            continue
        if path != folder(workspace, record.run_id):
            # Its launcher died between writing this down and naming the folder.
            path.rename(folder(workspace, record.run_id))
        yield record, lock


def is_looked_after(workspace: Workspace, run_id: str) -> bool:
    """Whether some process sees to it that the run ends truthfully."""
    return locks.held(folder(workspace, run_id) / _LOCK)


def without_launcher(workspace: Workspace) -> int:
    """How many live runs of this machine no process follows: what is known of them may be out of date."""
    return sum(record.is_here and not is_looked_after(workspace, record.run_id) for record in live(workspace))


def live(workspace: Workspace) -> list[Record]:
    """All runs that have not been ended, looked after or not, the oldest first."""
    found = (record for record, place in _all(workspace) if ended(place) is None)
    return sorted(found, key=lambda record: record.started)


def undelivered(workspace: Workspace) -> list[Record]:
    """The runs that have ended and of which something is on this disk alone, the oldest first."""
    found = (record for record, place in _all(workspace) if ended(place) is not None)
    return sorted(found, key=lambda record: record.started)


def unreadable(workspace: Workspace) -> list[Path]:
    """The folders of runs whose record says nothing to this version of trainer, or is torn.

    Nobody can tell what became of such a run: it is left as it is, and so is whatever it may use.
    """
    found = []
    for path in sorted((workspace.state / "runs").glob("*/")):
        written = [path / name for name in (_FILE, _INTENT) if (path / name).exists()]
        with contextlib.suppress(OSError):  # ended in between
            if written and _read(written[0].read_bytes()) is None:
                found.append(path)
    return found


def said_of_unreadable(place: Path) -> str:
    """A line for the user."""
    return (
        f"The run in {place} cannot be read: another version of trainer wrote it, or it is torn. "
        "It is left as it is."
    )


def has_run(folder: Path) -> bool:
    """Whether the folder is a run's, or of a launch that may have made one, readable or not."""
    return (folder / _FILE).exists() or (folder / _INTENT).exists()


def is_live(workspace: Workspace, run_id: str) -> bool:
    """Whether the run has not been ended yet."""
    place = folder(workspace, run_id)
    return place.exists() and ended(place) is None


def ask_to_stop(workspace: Workspace, run_id: str, by: str) -> None:
    """Write down what command stops the run, for whoever will see it end."""
    (folder(workspace, run_id) / _STOPPED).write_text(by)


def stopped_by(workspace: Workspace, run_id: str) -> str | None:
    """The command that stopped the run, or is about to."""
    try:
        return (folder(workspace, run_id) / _STOPPED).read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _all(workspace: Workspace) -> Iterator[tuple[Record, Path]]:
    for path in sorted((workspace.state / "runs").glob(f"*/{_FILE}")):
        with contextlib.suppress(OSError):  # ended in between
            if record := _read(path.read_bytes()):
                yield record, path.parent


def _read(text: bytes) -> Record | None:
    """What another version wrote is read as far as it is known; None for what is torn, or says too little."""
    try:
        said = json.loads(text)
        known = {one.name: said[one.name] for one in fields(Record) if one.name in said}
        record = Record(**{**known, "secret_names": tuple(known.get("secret_names", ()))})
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (record.run_id, record.project, record.backend, record.tracking_uri, record.name, record.image)
    is_sound = (
        all(isinstance(text, str) for text in (*texts, record.host, record.offline_id, *record.secret_names))
        and isinstance(record.own_server, bool)
        and isinstance(record.started, int | float)
        and "/" not in record.run_id  # it names a folder
    )
    return record if is_sound else None


def end(place: Path, status: str) -> None:
    """The job has ended and all that is to be said of it is written down; what is left is to deliver it."""
    temporary = place / f".{_ENDED}"
    temporary.write_text(status)
    temporary.replace(place / _ENDED)


def ended(place: Path) -> str | None:
    """The final status that was written down for a run that has ended; None for one that may be running."""
    try:
        return (place / _ENDED).read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def remove(workspace: Workspace, run_id: str) -> None:
    """The run has ended and everything of it is on the server.

    What the server refused for good is moved to .trainer/refused/RUN_ID, for its owner to look at.
    """
    refusals.keep(workspace, folder(workspace, run_id))
    shutil.rmtree(folder(workspace, run_id), ignore_errors=True)
