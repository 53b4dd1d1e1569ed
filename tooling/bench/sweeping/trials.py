"""When the trials of a sweep began and ended, and what follows from that."""

from __future__ import annotations

import contextlib
import json
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

SLOTS = 2


@dataclass(frozen=True)
class Trial:
    """When a trial's own script began and ended, in seconds of the clock."""

    began: float
    ended: float


@dataclass
class Spent:
    """Wall seconds, and CPU seconds of all processes that were started and have ended meanwhile."""

    seconds: float = 0
    cpu: float = 0


@dataclass(frozen=True)
class Searched:
    """A whole search: its trials, and what its command took."""

    trials: Sequence[Trial]
    spent: Spent

    @property
    def times_ideal(self) -> float:
        """How many times as long it took as its scripts would have, had each slot never waited."""
        return self.spent.seconds / ideal(self.trials)

    @property
    def gaps(self) -> list[float]:
        """Seconds from the end of a script to the first line of the next one on the slot that it left."""
        return gaps(self.trials, SLOTS)


def gaps(trials: Iterable[Trial], slots: int) -> list[float]:
    """Seconds from the end of each script to the first line of the one that came after it on its slot."""
    trials = list(trials)
    began = sorted(trial.began for trial in trials)[slots:]
    ended = sorted(trial.ended for trial in trials)
    return [next_ - last for next_, last in zip(began, ended, strict=False)]


def ideal(trials: Iterable[Trial]) -> float:
    """Seconds that the scripts take where each begins, in the order it did, when a slot is free."""
    slots = [0.0] * SLOTS
    for trial in sorted(trials, key=lambda trial: trial.began):
        slots[slots.index(min(slots))] += trial.ended - trial.began
    return max(slots)


@contextlib.contextmanager
def spent() -> Iterator[Spent]:
    """Known at the end."""
    meanwhile = Spent()
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    yield meanwhile
    meanwhile.seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    meanwhile.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_output(text: str) -> list[Trial]:
    """Those of which a line of the output speaks, as `inside/uneven.py` prints it."""
    return [Trial(times["began"], times["ended"]) for times in said(text, "began")]


def said(text: str, key: str) -> list[dict[str, float]]:
    """The JSON objects with the key that are lines of the text."""
    lines = [line[line.index("{") :] for line in text.splitlines() if f'"{key}"' in line and "{" in line]
    return [json.loads(line) for line in lines]
