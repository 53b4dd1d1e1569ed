"""What a user changes in the queue: its order, and what of it is to be started."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trainer import locks
from trainer.errors import InvalidInput, TrainerError
from trainer.queue import entries, starting
from trainer.queue import folder as queue_folder
from trainer.queue.entries import CANCELLED, Ended, Entry, Place, Reason, Started
from trainer.queue.folder import EntryFolder
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace

_Found = tuple[Entry, EntryFolder]


@dataclass(frozen=True)
class Cancelled:
    """What came of cancelling an entry; `was_gone` where it had been cancelled before."""

    id: str
    was_gone: bool = False


def find(workspace: Workspace, text: str) -> tuple[Entry, EntryFolder]:
    """The one entry whose id begins like that, or that has that name. Raises `InvalidInput`."""
    return _only(text, matching(workspace, text))


def matching(workspace: Workspace, text: str) -> list[tuple[Entry, EntryFolder]]:
    """The entries whose ids begin like that, or that have that name."""
    known = entries.all_entries(workspace)
    return [each for each in known if text and (each[0].id.startswith(text) or each[0].name == text)]


def _only(text: str, matches: Sequence[_Found]) -> _Found:
    if len(matches) == 1:
        return matches[0]
    if matches:
        several = ", ".join(entry.title for entry, _ in matches)
        is_name = any(entry.name == text for entry, _ in matches)
        hint = "Use one of the ids." if is_name else "Use more of the id."
        raise InvalidInput(f"{text} could be {len(matches)} entries: {several}.", hint)
    raise InvalidInput(f"There is no entry {text} in the queue.", "`trainer queue` lists what is in it.")


def cancel(workspace: Workspace, texts: Sequence[str]) -> Iterator[Cancelled]:
    """Take entries out of the queue that were not started, or that cannot be read. Safe to call twice.

    Raises `InvalidInput` for one that there never was, or that has become a run, before any is changed.
    """
    found: list[_Found] = []
    for text in texts:
        matches = matching(workspace, text) or _damaged(workspace, text)
        ended = None if matches else _ended(workspace, text)
        if ended is None:
            found.append(_only(text, matches))
        elif ended.end == CANCELLED:
            yield Cancelled(ended.id, was_gone=True)
        else:
            raise _is_over(ended.id, ended.end, ended.run_id)
    for entry, folder in found:
        if run := _run(workspace, entry, folder):
            raise _has_begun(entry, run.run_id)
    for entry, folder in {entry.id: (entry, folder) for entry, folder in found}.values():
        with locks.exclusive(folder.lock):
            if not folder.record.exists():
                shutil.rmtree(folder.path, ignore_errors=True)
                yield Cancelled(entry.id, was_gone=True)
            elif run := _run(workspace, entry, folder):  # while it was waited for
                raise _has_begun(entry, run.run_id)
            else:
                entries.end(workspace, entry, folder, CANCELLED)
                yield Cancelled(entry.id)


def _damaged(workspace: Workspace, text: str) -> list[_Found]:
    """Those whose ids begin like that, and of which no more than that can be read."""
    folders = [each for each in entries.unreadable(workspace) if text and each.path.name.startswith(text)]
    return [(Entry(each.path.name, project="damaged", backend=""), each) for each in folders]


def _run(workspace: Workspace, entry: Entry, folder: EntryFolder) -> Started | None:
    """The run that it became. Nobody else removes a damaged entry: of that, only while the run goes on."""
    started = entries.started(folder)
    is_damaged = not entry.backend
    if started and is_damaged and not run_folders.is_live(workspace, started.run_id):
        return None
    return started


def _ended(workspace: Workspace, text: str) -> Ended | None:
    """The one that is gone whose id begins like that, else the last one of that name."""
    gone = [each for each in entries.ended(workspace).values() if text]
    by_id = [each for each in gone if each.id.startswith(text)]
    if len(by_id) == 1:
        return by_id[0]
    return max((each for each in gone if each.name == text), key=lambda each: each.at, default=None)


def move(
    workspace: Workspace,
    text: str,
    *,
    to_front: bool = False,
    to_end: bool = False,
    priority: int | None = None,
) -> Entry:
    """Change where an entry stands: before or behind all others, or in another priority."""
    entry, folder = find(workspace, text)
    if run := entries.started(folder):
        raise _has_begun(entry, run.run_id)
    with locks.exclusive(queue_folder.of(workspace).passing):
        others = [
            entries.place(other)
            for each, other in entries.all_entries(workspace)
            if each.id != entry.id and not other.started.exists()
        ]
        place = entries.place(folder)
        if priority is not None:
            place = replace(place, priority=priority)
        elif others and to_front:
            highest = max(each.priority for each in others)
            first = min(each.position for each in others if each.priority == highest)
            place = Place(highest, first - 1)
        elif others and to_end:
            lowest = min(each.priority for each in others)
            last = max(each.position for each in others if each.priority == lowest)
            place = Place(lowest, last + 1)
        entries.write(folder.place, place)
        folder.passed.unlink(missing_ok=True)  # it stands where its user wants it
    entries.touch(workspace)
    return entry


def pause(workspace: Workspace, texts: Sequence[str]) -> list[Entry]:
    """Start none of these until they are resumed; without any, nothing of the queue. What runs goes on."""
    if not texts:
        queue = queue_folder.of(workspace)
        queue.path.mkdir(parents=True, exist_ok=True)
        queue.paused.touch()
        return []
    chosen = [find(workspace, text) for text in texts]
    for entry, folder in chosen:
        if run := entries.started(folder):
            raise _has_begun(entry, run.run_id)
    for entry, folder in chosen:
        if not folder.held.exists():
            entries.write(folder.held, Reason("paused", f"trainer queue resume {entry.id}"))
    return [entry for entry, _ in chosen]


def resume(workspace: Workspace, texts: Sequence[str]) -> list[Entry]:
    """Go on with the queue; or release these, which are held or follow what did not finish."""
    if not texts:
        queue_folder.of(workspace).paused.unlink(missing_ok=True)
        entries.touch(workspace)
        return []
    chosen = [find(workspace, text) for text in texts]
    for _, folder in chosen:
        if not folder.held.exists():
            folder.ready.touch()  # nothing else holds it: it begins whatever became of the others
        folder.held.unlink(missing_ok=True)
    entries.touch(workspace)
    return [entry for entry, _ in chosen]


def settle(workspace: Workspace) -> None:
    """See what became of the entries that were started."""
    for entry, folder in entries.all_entries(workspace):
        if entry.is_here:
            starting.settle(workspace, entry, folder)


def _has_begun(entry: Entry, run_id: str) -> TrainerError:
    return InvalidInput(
        f"The entry {entry.title} has begun: it is the run {run_id[:8]} now.",
        f"To stop that: trainer stop {run_id[:8]}",
    )


def _is_over(entry_id: str, end: str, run_id: str) -> InvalidInput:
    return InvalidInput(
        f"The entry {entry_id} has become the run {run_id[:8]}, which is {end}.",
        f"To look at it: trainer show {run_id[:8]}",
    )
