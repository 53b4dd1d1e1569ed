"""Where a launch shows what it does."""

from __future__ import annotations

from typing import Protocol

from trainer.progress import Steps
from trainer.tracking.client import Run


class Reporter(Steps, Protocol):
    """Where a launch shows what it does."""

    def started(self, run: Run) -> None:
        """The run exists; its output follows."""

    def output(self, piece: bytes) -> None:
        """A piece of the run's output, secrets masked."""

    def remark(self, text: str) -> None:
        """What the user has to know, though it is no failure."""
