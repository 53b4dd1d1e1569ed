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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from trainer import atomic_files, locks
from trainer.locks import Lock
from trainer.workspace import refusals, run_folder
from trainer.workspace.run_folder import UNNAMED, RunFolder
from trainer.workspace.settings import Workspace

SCHEMA = 1
"""Of a record. It is raised when a trainer that knows only the number before would misunderstand one."""
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
    is_deleted: bool = False
    """Whether `trainer runs delete` deleted it, and `restore` did not bring it back."""

    @property
    def is_here(self) -> bool:
        """Whether this machine has the run."""
        return self.host == socket.gethostname()


@dataclass(frozen=True)
class Unreadable:
    """The folder of a run that this version of trainer does not understand."""

    folder: RunFolder
    is_newer: bool
    """Whether a newer version would."""

    def __str__(self) -> str:
        """A line for the user."""
        if self.is_newer:
            return (
                f"The run in {self.folder.path} was written by a newer version of trainer. "
                "It is left as it is: upgrade trainer here."
            )
        return (
            f"The run in {self.folder.path} cannot be read: its record is damaged. "
            "It is left as it is: remove the folder if you do not need it."
        )


def new_folder(workspace: Workspace) -> RunFolder:
    """A folder for a run that has no id yet."""
    runs = run_folder.parent(workspace)
    runs.mkdir(parents=True, exist_ok=True)
    return RunFolder(Path(tempfile.mkdtemp(prefix=UNNAMED, dir=runs)))


@contextlib.contextmanager
def launching(prepared: RunFolder, record: Record) -> Iterator[None]:
    """Within: the run is made on the server, which gives it its id, and then written down.

    Until then the record has none, and the prepared folder's name, as a tag of the run, has to do: whoever is
    killed in between leaves what `unfinished` finds.
    """
    with locks.exclusive(prepared.launch_lock):
        prepared.launch_record.write_text(_text(record))
        yield


def unfinished(workspace: Workspace) -> Iterator[tuple[Record, RunFolder]]:
    """Launches of this machine that died when they may have made a run and had not written it down."""
    for folder in all_folders(workspace):
        with contextlib.suppress(OSError):
            record = _read(folder.launch_record.read_bytes())
            is_dead = not locks.held(folder.launch_lock) and not folder.record.exists()
            if record and record.is_here and is_dead:
                yield record, folder


def write(workspace: Workspace, prepared: RunFolder, record: Record) -> tuple[RunFolder, Lock]:
    """Make the prepared folder the run's own: the folder, and the lock of who looks after the run."""
    lock = locks.exclusive(prepared.lock)  # nobody else knows of a folder that was just made
    prepared.record.write_text(_text(record))
    target = run_folder.of(workspace, record.run_id)
    prepared.path.rename(target.path)
    _append(workspace, record)
    return target, lock


def rename(workspace: Workspace, record: Record, run_id: str) -> None:
    """Write down the id that a server gave to a run that was started without one."""
    _append(workspace, replace(record, run_id=run_id, offline_id=record.run_id))


def update(workspace: Workspace, run_id: str, change: Callable[[Record], Record]) -> None:
    """Write down what is known of a run from now on, if it was started here."""
    for record in history(workspace):
        if record.run_id == run_id:
            _append(workspace, change(record))


def _append(workspace: Workspace, record: Record) -> None:
    with (workspace.state / _HISTORY).open("a") as lines:
        lines.write(_text(record) + "\n")


def history(workspace: Workspace) -> list[Record]:
    """The latest runs that this workspace started, ended or not; the newest last."""
    try:
        with (workspace.state / _HISTORY).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _HISTORY_READ))
            lines = file.read().splitlines()
    except OSError:
        return []
    by_id = {record.run_id: record for line in lines if (record := _read(line))}
    renamed = {record.offline_id for record in by_id.values()}
    return sorted(
        (record for record in by_id.values() if record.run_id not in renamed),
        key=lambda record: record.started,
    )


def unattended(workspace: Workspace) -> Iterator[tuple[Record, Lock]]:
    """The runs of this machine without a launcher, each with the lock that makes the caller its launcher."""
    for record, folder in _all(workspace):
        lock = locks.acquire(folder.lock) if record.is_here and folder.path.exists() else None
        if lock is None:
            continue
        if not folder.record.exists():
            lock.release()  # ended in between
            shutil.rmtree(folder.path, ignore_errors=True)
            continue
        own = run_folder.of(workspace, record.run_id)
        if folder != own:
            # Its launcher died between writing this down and naming the folder.
            folder.path.rename(own.path)
        yield record, lock


def has_launcher(workspace: Workspace, run_id: str) -> bool:
    """Whether some process sees to it that the run ends truthfully."""
    return locks.held(run_folder.of(workspace, run_id).lock)


def without_launcher(workspace: Workspace) -> int:
    """How many live runs of this machine no process follows: what is known of them may be out of date."""
    return sum(record.is_here and not has_launcher(workspace, record.run_id) for record in live(workspace))


def live(workspace: Workspace) -> list[Record]:
    """All runs that have not been ended, looked after or not, the oldest first."""
    records = (record for record, folder in _all(workspace) if ended(folder) is None)
    return sorted(records, key=lambda record: record.started)


def undelivered(workspace: Workspace) -> list[Record]:
    """The runs that have ended and of which something is on this disk alone, the oldest first."""
    records = (record for record, folder in _all(workspace) if ended(folder) is not None)
    return sorted(records, key=lambda record: record.started)


def unreadable(workspace: Workspace) -> list[Unreadable]:
    """The folders of runs whose record says nothing to this version of trainer, or is torn.

    Nobody can tell what became of such a run: it is left as it is, and so is whatever it may use.
    """
    folders = []
    for folder in all_folders(workspace):
        written = [path for path in (folder.record, folder.launch_record) if path.exists()]
        with contextlib.suppress(OSError):  # ended in between
            if written and _read(text := written[0].read_bytes()) is None:
                folders.append(Unreadable(folder, is_newer=_schema(text) > SCHEMA))
    return folders


def contains_run(folder: RunFolder) -> bool:
    """Whether the folder is a run's, or of a launch that may have made one, readable or not."""
    return folder.record.exists() or folder.launch_record.exists()


def is_live(workspace: Workspace, run_id: str) -> bool:
    """Whether the run has not been ended yet."""
    folder = run_folder.of(workspace, run_id)
    return folder.path.exists() and ended(folder) is None


def ask_to_stop(workspace: Workspace, run_id: str, by: str) -> None:
    """Write down what command stops the run, for the process that will see it end."""
    run_folder.of(workspace, run_id).stopped_by.write_text(by)


def stopped_by(workspace: Workspace, run_id: str) -> str | None:
    """The command that stopped the run, or is about to."""
    try:
        return run_folder.of(workspace, run_id).stopped_by.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def all_folders(workspace: Workspace) -> list[RunFolder]:
    """The folders of all runs, and of launches that have no run yet."""
    return [RunFolder(path) for path in sorted(run_folder.parent(workspace).glob("*/"))]


def _all(workspace: Workspace) -> Iterator[tuple[Record, RunFolder]]:
    for folder in all_folders(workspace):
        with contextlib.suppress(OSError):  # ended in between, or it has no run yet
            if record := _read(folder.record.read_bytes()):
                yield record, folder


def _text(record: Record) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(record)})


def _schema(text: bytes) -> int:
    """The number of the schema; 0 of what has none: a record of trainer 0.1.0, or what is torn."""
    try:
        schema = json.loads(text)["schema"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return 0
    return schema if isinstance(schema, int) else 0


def _read(text: bytes) -> Record | None:
    """None for what a newer schema is needed for, is torn, or says too little. Unknown keys are ignored."""
    if _schema(text) > SCHEMA:
        return None
    try:
        payload = json.loads(text)
        values = {field.name: payload[field.name] for field in fields(Record) if field.name in payload}
        record = Record(**{**values, "secret_names": tuple(values.get("secret_names", ()))})
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (record.run_id, record.project, record.backend, record.tracking_uri, record.name, record.image)
    is_sound = (
        all(isinstance(text, str) for text in (*texts, record.host, record.offline_id, *record.secret_names))
        and isinstance(record.own_server, bool)
        and isinstance(record.is_deleted, bool)
        and isinstance(record.started, int | float)
        and "/" not in record.run_id  # it names a folder
    )
    return record if is_sound else None


def end(folder: RunFolder, status: str) -> None:
    """The job has ended and all that is to be said of it is written down; what is left is to deliver it."""
    unfinished = atomic_files.beside(folder.ended)
    unfinished.write_text(status)
    unfinished.replace(folder.ended)


def ended(folder: RunFolder) -> str | None:
    """The final status that was written down for a run that has ended; None for one that may be running."""
    try:
        return folder.ended.read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def remove(workspace: Workspace, run_id: str) -> None:
    """The run has ended and everything of it is on the server.

    What the server refused for good is moved to .trainer/refused/RUN_ID, for its owner to look at.
    """
    folder = run_folder.of(workspace, run_id)
    refusals.keep(workspace, folder)
    shutil.rmtree(folder.path, ignore_errors=True)
