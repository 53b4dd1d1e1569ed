"""Waiting no longer than was meant, whatever hangs: a name server, a socket, a program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, function: Callable[[], T]) -> T:
    """What the function returns or raises; `TimeoutError` if it has not ended by then, and is left to itself.

    For what only looks: a time-out of a socket covers neither the look-up of its host's name nor an answer
    that comes byte by byte, and a thread cannot be ended from outside.
    """
    results: list[T] = []
    problems: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as problem:  # noqa: BLE001 (it is raised where it was asked for)
            problems.append(problem)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if problems:
        raise problems[0]
    if not results:
        raise TimeoutError
    return results[0]
