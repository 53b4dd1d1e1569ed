"""What an entry is to begin after: a run, or another entry, which has to finish first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from trainer.errors import InvalidInput
from trainer.queue import entries, fate
from trainer.queue import folder as queue_folder
from trainer.queue.entries import After
from trainer.runs import resolve
from trainer.runs.resolve import BEST
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class State:
    """Whether an entry may begin as far as this goes, and why not."""

    kind: Literal["met", "open", "failed"]
    why: str = ""


def find(workspace: Workspace, text: str) -> After:
    """The entry whose id begins like that, or whose run is to have that name; else the run that is meant.

    Raises `InvalidInput` where there is neither, or what is meant has ended and not finished.
    """
    found = _entry(workspace, text) or _run(workspace, text)
    state = state_of(workspace, found)
    if state.kind == "failed":
        raise InvalidInput(
            f"--after {text}: {state.why}.",
            "Only what finishes is followed. Leave out --after, or repeat it.",
        )
    return found


def state_of(workspace: Workspace, after: After) -> State:
    """How it stands. Raises `TrainerError` where that cannot be told now."""
    if after.kind == "run":
        return _of_run(workspace, after, after.id)
    if queue_folder.of(workspace).entry(after.id).record.exists():
        return State("open", f"after {after}")
    ended = entries.ended(workspace).get(after.id)
    if ended is None:
        return State("failed", f"{after}, which it was to follow, is gone")
    if ended.end == fate.FINISHED:
        return State("met")
    if ended.end == entries.CANCELLED:
        return State("failed", f"{after}, which it was to follow, was cancelled")
    return _of_run(workspace, after, ended.run_id)  # it may have been resumed


def of_all(workspace: Workspace, afters: Iterable[After]) -> State:
    """Of several: the first that failed, else the first that is open."""
    states = [state_of(workspace, after) for after in afters]
    failed = [state for state in states if state.kind == "failed"]
    still_open = [state for state in states if state.kind == "open"]
    return [*failed, *still_open, State("met")][0]


def _of_run(workspace: Workspace, after: After, run_id: str) -> State:
    status = fate.of_run(workspace, run_id)
    if not (status.is_over and status.is_delivered):
        return State("open", f"after {after}")
    if status.status == fate.FINISHED:
        return State("met")
    was = "is gone" if status.status == fate.GONE else f"is {status.status}"
    return State("failed", f"{after}, which it was to follow, {was}")


def _entry(workspace: Workspace, text: str) -> After | None:
    named = {entry.id: entry.name for entry, _ in entries.all_entries(workspace)}
    ids = {*entries.ended(workspace), *named}
    matches = {each for each in ids if text and (each.startswith(text) or named.get(each) == text)}
    if len(matches) > 1:
        hint = "Use one of the ids" if text in named.values() else "Use more of the id"
        raise InvalidInput(f"{text} could be {len(matches)} entries.", f"{hint}: trainer queue")
    if not matches:
        return None
    entry_id = matches.pop()
    return After("entry", entry_id, named.get(entry_id, ""))


def _run(workspace: Workspace, text: str) -> After:
    try:
        record = resolve.resolve(workspace, text)
    except InvalidInput as error:
        if text.startswith(BEST):
            raise
        raise InvalidInput(
            f"--after {text}: there is no such entry or run.",
            "`trainer queue` lists the entries, `trainer ps` and `trainer runs` the runs.",
        ) from error
    return After("run", record.run_id, record.name)
