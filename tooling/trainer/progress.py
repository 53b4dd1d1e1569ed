"""Where it is shown what is being done: the command line's door implements it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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


def _silently(_: str) -> AbstractContextManager[None]:
    return nullcontext()


_waiting: Callable[[str], AbstractContextManager[None]] = _silently


def show_waiting(how: Callable[[str], AbstractContextManager[None]]) -> None:
    """Have `how` show what is waited for from now on: the command line, at its start."""
    global _waiting
    _waiting = how


def waiting(text: str) -> AbstractContextManager[None]:
    """Within: the user is told what is waited for, in whatever command. For what is rarely waited for."""
    return _waiting(text)
