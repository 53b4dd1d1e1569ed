"""Where it is shown what is being done: the command line's door implements it."""

from __future__ import annotations

from typing import Protocol


class Steps(Protocol):
    """The steps of something that takes a while."""

    def step(self, text: str) -> None:
        """What is being done now; a clock starts."""

    def part(self, text: str, count: str = "") -> None:
        """The part of the step that is at work, and how far that is. The clock of the step goes on."""

    def detail(self, line: str) -> None:
        """A line of the output of the step, for who asked to see all of it."""

    def remark(self, text: str) -> None:
        """Lines that stay: what the user has to know, though it is no failure."""
