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


Shown = Callable[[str], AbstractContextManager[None]]
_waiting: Shown = _silently
_asking: Shown = _silently


def show_with(waiting: Shown, asking: Shown) -> None:
    """Have these show what is waited for, and which server is asked, from now on: the command line's door."""
    global _waiting, _asking
    _waiting, _asking = waiting, asking


def waiting(text: str) -> AbstractContextManager[None]:
    """Within: the user is told what is waited for, in whatever command. For what is rarely waited for."""
    return _waiting(text)


def asking(uri: str) -> AbstractContextManager[None]:
    """Within: a user who waits for the answer of the server of that address is told so before long."""
    return _asking(uri)
