"""Datasets on the host, images and tables: renamed, copied, divided, checked, described, made up.

Every function here that writes leaves the user's files whole when it is killed at any moment.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Called with what is being done, how many are done, and of how many.
Report = Callable[[str, int, int], None]


def silent(_step: str, _done: int, _total: int) -> None:
    """A `Report` for callers who want none."""


@contextlib.contextmanager
def many_objects() -> Iterator[None]:
    """Within, or in a function that it decorates: garbage is not looked for.

    Python does so every few hundred new tuples, and with 100,000 files that is half of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in the order of the items; a Ctrl-C does not wait for those that have not begun."""
    with ThreadPoolExecutor() as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
