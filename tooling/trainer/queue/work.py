"""Looking what can be started, and starting it: once, or for as long as something waits.

No daemon is needed. Whoever ends a run, queues one or changes the queue has a process in the background look
after what waits; it ends when nothing waits any more.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from trainer import locks
from trainer.errors import TrainerError
from trainer.queue import after, entries, needs, order, starting
from trainer.queue import folder as queue_folder
from trainer.queue.changes import Changes
from trainer.queue.entries import Entry, Passed, Reason
from trainer.queue.folder import EntryFolder
from trainer.queue.order import Waiting
from trainer.queue.starting import Attempt
from trainer.runs.launch import Reporter
from trainer.workspace.settings import Workspace

Start = Callable[[Workspace, Entry, EntryFolder, Reporter], Attempt]
_SHORTEST_S, _LONGEST_S = 0.2, 30.0
"""Between two looks: after something has changed, and while nothing does that is heard of."""


@dataclass(frozen=True)
class Pass:
    """What came of looking at the queue once."""

    started: tuple[tuple[Entry, str], ...] = ()
    """The entries that were started, and the ids of their runs."""
    held: tuple[tuple[Entry, Reason], ...] = ()
    """Those that could not be, until their user says so."""
    waits: bool = False
    """Whether something waits that time or others can bring on."""
    runs: bool = False
    """Whether something that was started has not ended."""
    is_away: bool = False
    """Whether an engine or a server did not answer."""


@dataclass(frozen=True)
class _Candidate:
    entry: Entry
    folder: EntryFolder
    waiting: Waiting


def one_pass(workspace: Workspace, screen: Reporter, start: Start = starting.start) -> Pass:
    """Start what can be started now, one after the other. Waits for others that do the same."""
    queue = queue_folder.of(workspace)
    with locks.exclusive(queue.passing):
        for entry, folder in entries.all_entries(workspace):
            if entry.is_here:
                starting.settle(workspace, entry, folder)
        if queue.paused.exists():
            return Pass(runs=_runs(workspace))
        candidates, still_open, is_away = _candidates(workspace)
        outcome = _start_candidates(workspace, candidates, screen, start)
        runs = _runs(workspace)
    waits = outcome.waits or still_open or is_away
    return replace(outcome, waits=waits, runs=runs, is_away=outcome.is_away or is_away)


def _runs(workspace: Workspace) -> bool:
    return any(entry.is_here and folder.started.exists() for entry, folder in entries.all_entries(workspace))


def _candidates(workspace: Workspace) -> tuple[dict[str, _Candidate], bool, bool]:
    """The entries that need nothing but a slot; whether others are to come; whether that cannot be told."""
    candidates: dict[str, _Candidate] = {}
    still_open = is_away = False
    for entry, folder in entries.all_entries(workspace):
        if not entry.is_here or folder.held.exists() or folder.started.exists():
            continue
        try:
            state = after.of_all(workspace, () if folder.ready.exists() else entry.after)
        except TrainerError:
            is_away = True
            continue
        if state.kind == "met":
            if entry.after and not folder.ready.exists():
                folder.ready.touch()
            candidates[entry.id] = _Candidate(entry, folder, needs.waiting(entry, folder))
        still_open = still_open or state.kind == "open"
    return candidates, still_open, is_away


def _start_candidates(
    workspace: Workspace, candidates: dict[str, _Candidate], screen: Reporter, start: Start
) -> Pass:
    started, held, without_slot = list[tuple[Entry, str]](), list[tuple[Entry, Reason]](), set[str]()
    now = time.time()
    while chosen := order.next_to_try([each.waiting for each in candidates.values()], without_slot, now):
        candidate = candidates[chosen.id]
        attempt = start(workspace, candidate.entry, candidate.folder, screen)
        match attempt.kind:
            case "no slot":
                without_slot.add(chosen.id)
                continue
            case "away":
                return Pass(tuple(started), tuple(held), waits=True, is_away=True)
            case "started":
                started.append((candidate.entry, attempt.run.id if attempt.run else ""))
                _pass_over(candidates, chosen, now)
            case "held" if attempt.reason:
                held.append((candidate.entry, attempt.reason))
        del candidates[chosen.id]
    return Pass(tuple(started), tuple(held), waits=bool(candidates))


def _pass_over(candidates: dict[str, _Candidate], started: Waiting, now: float) -> None:
    for waiting in order.passed_by([each.waiting for each in candidates.values()], started):
        candidate = candidates[waiting.id]
        passed = Passed(waiting.passed_over + 1, waiting.passed_since or now)
        entries.write(candidate.folder.passed, passed)
        counted = replace(waiting, passed_over=passed.times, passed_since=passed.since)
        candidates[waiting.id] = replace(candidate, waiting=counted)


def keep_starting(
    workspace: Workspace,
    screen: Reporter,
    goes_on: Callable[[Pass], bool],
    start: Start = starting.start,
) -> None:
    """Look again and again, soon after something has changed, until `goes_on` says no after a look."""
    pause = _SHORTEST_S
    changed = Changes(workspace)
    while goes_on(looked := one_pass(workspace, screen, start)):
        pause = _SHORTEST_S if looked.started else min(2 * pause, _LONGEST_S)
        if changed.within(pause):
            pause = _SHORTEST_S


def attend(workspace: Workspace, screen: Reporter) -> None:
    """Start what waits until nothing does; at once where another process does so already."""
    queue = queue_folder.of(workspace)
    while lock := locks.acquire(queue.attended):
        with lock:
            keep_starting(workspace, screen, lambda looked: looked.waits)
        # Who queued something meanwhile has seen the lock held, and has left it to this process.
        if not one_pass(workspace, screen).waits:
            return


def in_background(workspace: Workspace) -> None:
    """Have a process attend to the queue, if something is in it and none does; it outlives this one."""
    queue = queue_folder.of(workspace)
    if not any(queue.entries()) or queue.paused.exists():
        return
    entries.touch(workspace)
    if locks.held(queue.attended):
        return
    with queue.log.open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "trainer", "--workspace", str(workspace.root), "queue", "attend"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
