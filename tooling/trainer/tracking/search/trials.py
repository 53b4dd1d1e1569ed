"""The runs of a sweep's trials, by their tags: how they ended, and which of them count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from trainer.tracking import run_tags
from trainer.tracking.client import Run

State: TypeAlias = Literal["finished", "failed", "pruned", "stopped", "interrupted"]
"""How a run ended: stopped by a user, who wants no other in its place; interrupted, to be run again."""


def trial_of(run: Run) -> int:
    """The number of the run's trial; -1 of what is none."""
    return _number(run, run_tags.TRIAL, -1)


def repeat_of(run: Run) -> int:
    """Which of the runs of its trial it is, from 0 on; 0 where there is one."""
    return _number(run, run_tags.REPEAT, 0)


def _number(run: Run, tag: str, default: int) -> int:
    text = run.tags.get(tag, "")
    return int(text) if text.isdecimal() else default


def state_of(status: str, reason: str, *, is_pruned: bool) -> State:
    """What the status of an ended run, and the reason for it, come to."""
    if status == "FINISHED":
        return "finished"
    if status == "FAILED":
        return "interrupted" if reason == "could not be started" else "failed"
    if is_pruned:
        return "pruned"
    return "stopped" if reason == "stopped by trainer stop" or status == "DELETED" else "interrupted"


def state(run: Run) -> State:
    """How an ended run ended, as the tracking server has it."""
    return state_of(run.status, run.tags.get(run_tags.END, ""), is_pruned=run_tags.PRUNED in run.tags)


def counting(runs: Iterable[Run]) -> list[Run]:
    """Those of one trial's runs that count: of each repeat the one that was not interrupted, else the newest.

    An interrupted run is run again, and says nothing of its trial. They come by their repeats.
    """
    found: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: run.started or 0):
        earlier = found.get(repeat_of(run))
        if earlier is None or (earlier.status != "RUNNING" and state(earlier) == "interrupted"):
            found[repeat_of(run)] = run
    return [run for _, run in sorted(found.items())]
