"""Entries without a run, and a machine with slots that nobody else has."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from trainer.queue import entries
from trainer.queue.entries import After, Entry, Place, Reason, Started
from trainer.queue.folder import EntryFolder
from trainer.queue.starting import Attempt
from trainer.runs.launch import Reporter
from trainer.tracking.client import Run
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace


def queued(
    workspace: Workspace,
    entry_id: str,
    *,
    gpus: int = 0,
    priority: int = 0,
    position: float = 0.0,
    after: tuple[After, ...] = (),
    **changes: object,
) -> tuple[Entry, EntryFolder]:
    """An entry that needs so many GPUs; `changes` are of other fields."""
    needed = str(gpus) if gpus else "none"
    plain = Entry(id=entry_id, project="demo", backend="docker", gpus=needed, after=after)
    entry = replace(plain, **changes)  # type: ignore[arg-type]
    with unfinished.folder(workspace, unfinished.QUEUED) as home:
        return entry, entries.add(
            workspace, entries.new_folder(home), entry, Place(priority, position or entry.queued)
        )


@dataclass
class Machine:
    """GPUs, and the entries that have them."""

    gpus: int = 2
    has: dict[str, int] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    refuses: dict[str, Attempt] = field(default_factory=dict)

    def start(self, _: Workspace, entry: Entry, folder: EntryFolder, __: Reporter) -> Attempt:
        """As `starting.start`; the run is called like the entry."""
        if entry.id in self.refuses:
            attempt = self.refuses[entry.id]
            if attempt.kind == "held" and attempt.reason:
                entries.write(folder.held, attempt.reason)
            return attempt
        need = 0 if entry.gpus == "none" else int(entry.gpus)
        if need > self.gpus - sum(self.has.values()):
            reason = Reason("no GPU is free")
            entries.write(folder.waits, reason)
            return Attempt("no slot", reason=reason)
        self.has[entry.id] = need
        self.started.append(entry.id)
        run_id = entry.id * 4
        entries.write(folder.started, Started(run_id, began=True))
        return Attempt("started", Run(run_id, "7", entry.project, "RUNNING", "x:/"))

    def end(self, workspace: Workspace, name: str, how: str = "FINISHED") -> None:
        """The run of the entry has ended."""
        del self.has[name]
        for entry, folder in entries.all_entries(workspace):
            if entry.id == name:
                entries.end(workspace, entry, folder, how, name * 4)


class Nowhere:
    """A screen that nobody looks at."""

    def step(self, text: str) -> None: ...

    def part(self, text: str, count: str = "") -> None: ...

    def detail(self, line: str) -> None: ...

    def remark(self, text: str) -> None: ...

    def started(self, run: Run) -> None: ...

    def output(self, piece: bytes) -> None: ...
