"""Calls in background threads."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from trainer import subprocesses

T = TypeVar("T")
_POLL_S = 0.1  # for a signal


def submit(function: Callable[[], T]) -> Future[T]:
    """Call the function in a new daemon thread, which never keeps the process from ending.

    The threads of a `ThreadPoolExecutor` do: the interpreter joins them before it exits.
    """
    future: Future[T] = Future()

    def call() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 (`Future.result` raises it)
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=call, daemon=True).start()
    return future


def wait(future: Future[T]) -> T:
    """The future's result. Raises `Interrupted` for a signal that `deferred_signals` holds back."""
    while not future.done():
        concurrent.futures.wait([future], timeout=_POLL_S)
        subprocesses.raise_deferred()
    return future.result()


def call_with_timeout(seconds: float, function: Callable[[], T]) -> T:
    """What the function returns. Raises `TimeoutError` after that time; the call then goes on in its thread.

    For functions that only read: a socket's own timeout covers neither the DNS look-up nor an answer that
    comes byte by byte, and a thread cannot be ended from outside.
    """
    return submit(function).result(timeout=seconds)
