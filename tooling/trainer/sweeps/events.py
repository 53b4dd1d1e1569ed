"""What the threads that follow trials tell the one that begins them."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Events(Generic[T]):
    """Events in their order, for one thread that heeds them."""

    def __init__(self) -> None:
        self._queue = SimpleQueue[tuple[T, threading.Event]]()
        self._last = threading.Event()

    def put(self, event: T) -> threading.Event:
        """Add an event. What is returned is set when it has been heeded, with all that follows from it."""
        is_heeded = threading.Event()
        self._queue.put((event, is_heeded))
        return is_heeded

    def next(self, within_s: float) -> T | None:
        """The next event, None where none comes in time. The one before it has been heeded."""
        self._last.set()
        try:
            event, self._last = self._queue.get(timeout=within_s)
        except Empty:
            return None
        return event
