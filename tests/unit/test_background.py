import os
import signal
import threading

import pytest
from trainer.background import Meanwhile
from trainer.errors import Interrupted
from trainer.subprocesses import deferred_signals, interruptible


def test_it_goes_on_while_something_else_is_done() -> None:
    go_on = threading.Event()
    asked = Meanwhile(lambda: go_on.wait(10))
    go_on.set()
    assert [asked.result(), asked.result()] == [True, True]


def test_what_it_raises_is_raised_where_it_is_asked_for() -> None:
    def fail() -> None:
        raise KeyError("gone")

    asked = Meanwhile(fail)
    for _ in range(2):
        with pytest.raises(KeyError, match="gone"):
            asked.result()


def test_a_deferred_signal_ends_the_wait_if_it_is_to() -> None:
    asked = Meanwhile(lambda: threading.Event().wait(60))

    def wait() -> None:
        with interruptible(), deferred_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            asked.result(heed_signals=True)

    with pytest.raises(Interrupted, match="SIGTERM"):
        wait()


def test_else_a_deferred_signal_waits_too() -> None:
    done = []

    def wait() -> None:
        with interruptible(), deferred_signals(drop=True):
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(Meanwhile(lambda: threading.Event().wait(0.3)).result())

    wait()
    assert done == [False]
