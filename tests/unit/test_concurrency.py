import os
import signal
import threading

import pytest
from trainer import concurrency
from trainer.errors import Interrupted
from trainer.subprocesses import deferred_signals, interruptible


def test_a_call_goes_on_while_something_else_is_done() -> None:
    event = threading.Event()
    future = concurrency.submit(lambda: event.wait(10))
    event.set()
    assert [concurrency.wait(future), future.result()] == [True, True]


def test_what_a_call_raises_is_raised_by_its_result() -> None:
    def fail() -> None:
        raise KeyError("gone")

    future = concurrency.submit(fail)
    for _ in range(2):
        with pytest.raises(KeyError, match="gone"):
            concurrency.wait(future)


def test_a_deferred_signal_ends_the_wait() -> None:
    future = concurrency.submit(lambda: threading.Event().wait(60))

    def wait() -> None:
        with interruptible(), deferred_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            concurrency.wait(future)

    with pytest.raises(Interrupted, match="SIGTERM"):
        wait()


def test_a_deferred_signal_does_not_end_the_wait_for_a_result() -> None:
    done = []

    def wait() -> None:
        with interruptible(), deferred_signals(drop=True):
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(concurrency.submit(lambda: threading.Event().wait(0.3)).result())

    wait()
    assert done == [False]


def test_a_call_with_a_timeout_returns_or_raises() -> None:
    assert concurrency.call_with_timeout(5, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        concurrency.call_with_timeout(5, lambda: 1 // 0)


@pytest.mark.timeout(10)
def test_a_call_that_hangs_is_abandoned() -> None:
    event = threading.Event()
    with pytest.raises(TimeoutError):
        concurrency.call_with_timeout(0.05, event.wait)
    event.set()
