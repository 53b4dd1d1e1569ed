"""Where a sweep shows what it does, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer.runs.launch.screen import Reporter
from trainer.sweeps.parent import Row
from trainer.sweeps.requests import Unit
from trainer.tracking.client import Run, Status


class Screen(Reporter, Protocol):
    """Where a sweep shows what it does."""

    def trial_started(self, unit: Unit, run: Run) -> None:
        """A run of a trial goes on."""

    def trial_ended(self, row: Row, *, is_best: bool, ended: int, total: int | None) -> None:
        """A trial has ended."""


@dataclass(frozen=True)
class Outcome:
    """What came of a sweep."""

    parent: Run
    status: Status
    rows: Sequence[Row]
    best: Sequence[Row]
    reason: str
