"""The folder of the queue on this machine, and of each of its entries: what is called how in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class EntryFolder:
    """The folder of an entry. Each file is written by one kind of process, which holds a lock meanwhile."""

    path: Path

    @property
    def record(self) -> Path:
        """What was asked for: `entries.Entry`. It never changes."""
        return self.path / "entry.json"

    @property
    def plan(self) -> Path:
        """The plan of its run: `pinned`."""
        return self.path / "plan.json"

    @property
    def source(self) -> Path:
        """The archive of its code."""
        return self.path / "source.tar.gz"

    @property
    def code(self) -> Path:
        """The code unpacked, where a parameter names a file of it."""
        return self.path / "code"

    @property
    def image(self) -> Path:
        """The archive of what its image was built from, if that has any."""
        return self.path / "image.tar.gz"

    @property
    def place(self) -> Path:
        """Its priority and its place among those of the same: `entries.Place`."""
        return self.path / "place.json"

    @property
    def passed(self) -> Path:
        """How often later entries were started before it, and since when."""
        return self.path / "passed.json"

    @property
    def ready(self) -> Path:
        """There when all that it was to begin after has finished."""
        return self.path / "ready"

    @property
    def held(self) -> Path:
        """Why it is not started until its user says so."""
        return self.path / "held.json"

    @property
    def waits(self) -> Path:
        """What it was waiting for when it was last tried."""
        return self.path / "waits.json"

    @property
    def started(self) -> Path:
        """The run that it became."""
        return self.path / "started.json"

    @property
    def lock(self) -> Path:
        """Held by the process that starts the entry, or removes it."""
        return self.path / "starting"


@dataclass(frozen=True)
class QueueFolder:
    """The folder of a workspace's queue."""

    path: Path

    @property
    def paused(self) -> Path:
        """There while nothing is to be started."""
        return self.path / "paused"

    @property
    def passing(self) -> Path:
        """Locked while somebody looks what can be started, and while the order is changed."""
        return self.path / "passing.lock"

    @property
    def attended(self) -> Path:
        """Locked while a process looks after what waits."""
        return self.path / "attended.lock"

    @property
    def changed(self) -> Path:
        """Touched by whoever changes something that a process that waits is to see at once."""
        return self.path / "changed"

    @property
    def history(self) -> Path:
        """What became of entries that are gone: `entries.Ended`, one a line."""
        return self.path / "history.jsonl"

    @property
    def log(self) -> Path:
        """What the process in the background says."""
        return self.path / "queue.log"

    def entry(self, entry_id: str) -> EntryFolder:
        """The folder of that entry."""
        return EntryFolder(self.path / "entries" / entry_id)

    def entries(self) -> Iterator[EntryFolder]:
        """All there are."""
        for path in sorted((self.path / "entries").glob("*/")):
            yield EntryFolder(path)


def of(workspace: Workspace) -> QueueFolder:
    """The workspace's. It need not be there."""
    return QueueFolder(workspace.state / "queue")
