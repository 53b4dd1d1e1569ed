"""Who is next: a pure function of what waits.

The rule. Entries are in the order of their priority, the highest first, and of their place within it: first
come, first served. Each is offered a slot in that order. One that finds none is *passed over* by those after
it that do, so that small ones fill the gaps that a large one leaves. One that needs no less than an entry
that found none is not tried: what has become free meanwhile is for the earlier one. An entry that was passed
over `MOST_TIMES`, or `LONGEST_S` ago for the first time, is *overdue*: nothing after it is started before it
is. What is freed then stays free until there is enough for it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

MOST_TIMES = 8
LONGEST_S = 1800.0


@dataclass(frozen=True)
class Amounts:
    """What an entry needs, as numbers. Memory in bytes."""

    gpus: float = 0
    """Infinite for all there are."""
    devices: frozenset[str] = frozenset()
    """The GPUs that it names, where it names them."""
    cpus: int = 0
    memory: int = 0

    def covers(self, other: Amounts) -> bool:
        """Whether who has this has all that the other needs."""
        has_devices = math.isinf(self.gpus) or other.devices <= self.devices
        enough = self.gpus >= other.gpus and self.cpus >= other.cpus and self.memory >= other.memory
        return has_devices and enough


@dataclass(frozen=True)
class Waiting:
    """An entry that could be started now, as far as it depends on nothing but a slot."""

    id: str
    priority: int
    position: float
    needs: Amounts = field(default_factory=Amounts)
    passed_over: int = 0
    passed_since: float | None = None
    """When it was passed over for the first time, in seconds since 1970."""

    def is_overdue(self, now: float) -> bool:
        """Whether it is to be passed over no more."""
        is_long = self.passed_since is not None and now - self.passed_since >= LONGEST_S
        return self.passed_over >= MOST_TIMES or is_long


def in_order(entries: Sequence[Waiting]) -> list[Waiting]:
    """The order in which they are served."""
    return sorted(entries, key=lambda entry: (-entry.priority, entry.position, entry.id))


def next_to_try(entries: Sequence[Waiting], without_slot: Collection[str], now: float) -> Waiting | None:
    """The entry that is to be offered a slot next; None if none is.

    `without_slot` are the ids of those that were offered one now and found none.
    """
    refused: list[Waiting] = []
    for entry in in_order(entries):
        if entry.id in without_slot:
            refused.append(entry)
        elif not any(entry.needs.covers(before.needs) for before in refused):
            return entry
        if entry.is_overdue(now):
            return None
    return None


def passed_by(entries: Sequence[Waiting], started: Waiting) -> list[Waiting]:
    """Those that are passed over when that one is started."""
    ordered = in_order(entries)
    return ordered[: ordered.index(started)]


def blocker(entries: Sequence[Waiting], entry: Waiting, now: float) -> Waiting | None:
    """The overdue entry that this one has to wait for, if there is one."""
    return next((before for before in passed_by(entries, entry) if before.is_overdue(now)), None)
