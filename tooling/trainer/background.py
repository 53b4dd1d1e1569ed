"""What is asked for while something else is done: most of a launch is waiting for somebody's answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from trainer import subprocesses

T = TypeVar("T")
_LOOK_S = 0.1  # for a signal


class Meanwhile(Generic[T]):
    """A call in a thread of its own. It is for what may be left to itself, should nobody want it any more."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._results: list[T] = []
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def result(self, *, heed_signals: bool = False) -> T:
        """What the function returns or raises, as soon as it has; any number of times.

        With `heed_signals`, a signal that is deferred ends the wait all the same: `Interrupted`.
        """
        while self._thread.is_alive():
            self._thread.join(_LOOK_S)
            if heed_signals:
                subprocesses.raise_deferred()
        if self._problem is not None:
            raise self._problem
        return self._results[0]

    def _call(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:  # noqa: BLE001 (it is raised where the result is asked for)
            self._problem = error
