"""Where a sweep shows what it does, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trainer.runs.launch.screen import Reporter
from trainer.sweeps.parent import Row
from trainer.sweeps.report import SweepView
from trainer.tracking.client import Run, Status


class Screen(Reporter, Protocol):
    """Where a sweep shows what it does."""

    def shows(self, view: SweepView) -> None:
        """How it goes now; called often, first with what there was before this process."""


@dataclass(frozen=True)
class Outcome:
    """What came of a sweep."""

    parent: Run
    status: Status
    rows: Sequence[Row]
    best: Sequence[Row]
    reason: str
