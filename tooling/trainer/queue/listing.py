"""What is in the queue, and why each entry waits, without starting anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trainer import locks
from trainer.errors import TrainerError
from trainer.queue import after, entries, needs, order
from trainer.queue import folder as queue_folder
from trainer.queue.entries import Entry, Place
from trainer.queue.folder import EntryFolder
from trainer.queue.order import Waiting
from trainer.workspace.settings import Workspace

State = Literal["running", "starting", "waiting", "held", "elsewhere"]


@dataclass(frozen=True)
class Listed:
    """An entry as it stands now."""

    entry: Entry
    place: Place
    state: State
    why: str = ""
    """Of one that is not started."""
    hint: str = ""
    """What its user can do, if it is held."""
    run_id: str = ""
    position: int | None = None
    """Of one that waits, from 1."""
    follows: bool = False
    """Whether it waits until others have finished."""


def listed(workspace: Workspace) -> list[Listed]:
    """What runs, then what waits in its order, then what is held."""
    known = entries.all_entries(workspace)
    paused = queue_folder.of(workspace).paused.exists()
    seen = [_seen(workspace, entry, folder) for entry, folder in known]
    waiting = [
        needs.waiting(each.entry, folder) for each, (_, folder) in zip(seen, known, strict=True)
        if each.state == "waiting"
    ]  # fmt: skip
    ordered = {each.id: number for number, each in enumerate(order.in_order(waiting), 1)}
    now = time.time()
    listed_ = [_in_order(each, waiting, ordered, now, paused=paused) for each in seen]
    return sorted(listed_, key=_rank)


def count(workspace: Workspace) -> int:
    """How many entries have not been started."""
    return sum(not folder.started.exists() for _, folder in entries.all_entries(workspace))


def halted(workspace: Workspace) -> list[Listed]:
    """Those that say why nothing more starts: of those that wait the next one, and all that are held."""
    known = listed(workspace)
    waiting = [each for each in known if each.state == "waiting"]
    able = [each for each in waiting if not each.follows] or waiting
    return [*able[:1], *(each for each in known if each.state == "held")]


def running(workspace: Workspace) -> dict[str, str]:
    """The entries that were started and have not ended, and the ids of their runs."""
    known = ((entry.id, entries.started(folder)) for entry, folder in entries.all_entries(workspace))
    return {entry_id: started.run_id for entry_id, started in known if started and started.began}


def before(workspace: Workspace, entry: Entry) -> int:
    """How many entries that were not started stand before that one."""
    waiting = [
        needs.waiting(each, folder)
        for each, folder in entries.all_entries(workspace)
        if each.is_here and not folder.started.exists()
    ]
    return next((n for n, each in enumerate(order.in_order(waiting)) if each.id == entry.id), 0)


def is_paused(workspace: Workspace) -> bool:
    """Whether nothing is started."""
    return queue_folder.of(workspace).paused.exists()


def _seen(workspace: Workspace, entry: Entry, folder: EntryFolder) -> Listed:
    place = entries.place(folder)
    if started := entries.started(folder):
        state: State = "running" if started.began or not locks.held(folder.lock) else "starting"
        return Listed(entry, place, state, run_id=started.run_id)
    if not entry.is_here:
        return Listed(entry, place, "elsewhere", f"on {entry.host}")
    if locks.held(folder.lock):
        return Listed(entry, place, "starting")
    if reason := entries.held(folder):
        return Listed(entry, place, "held", reason.why, reason.hint)
    try:
        depends = after.of_all(workspace, () if folder.ready.exists() else entry.after)
    except TrainerError as error:
        return Listed(entry, place, "waiting", error.message)
    if depends.kind == "failed":
        hint = f"To start it all the same: trainer queue resume {entry.id}"
        return Listed(entry, place, "held", depends.why, hint)
    if depends.kind == "open":
        return Listed(entry, place, "waiting", depends.why, follows=True)
    waits = entries.waits(folder)
    return Listed(entry, place, "waiting", waits.why if waits else "")


def _in_order(
    each: Listed, waiting: Sequence[Waiting], ordered: dict[str, int], now: float, *, paused: bool
) -> Listed:
    if each.state != "waiting":
        return each
    own = next(one for one in waiting if one.id == each.entry.id)
    why = each.why
    if paused:
        why = "the queue is paused"
    elif before := order.blocker(waiting, own, now):
        why = f"for {before.id}, which has been passed over long enough"
    return replace(each, why=why or "its turn", position=ordered[each.entry.id])


def _rank(each: Listed) -> tuple[int, float, float]:
    ranks: dict[State, int] = {"running": 0, "starting": 1, "waiting": 2, "held": 3, "elsewhere": 4}
    within = each.position if each.position is not None else each.place.position
    return ranks[each.state], within, each.place.position
