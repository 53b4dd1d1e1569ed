"""Where it is shown what is being done: the command line's door implements it."""

from __future__ import annotations

from typing import Protocol


class Steps(Protocol):
    """The steps of something that takes a while."""

    def step(self, text: str) -> None:
        """What is being done now."""

    def detail(self, line: str) -> None:
        """A line of the output of the present step."""
