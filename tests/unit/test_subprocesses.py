import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from trainer.errors import Interrupted
from trainer.subprocesses import capture, deferred_signals, interruptible, lines


def test_capture_gives_the_output_of_a_program_that_did_well(tmp_path: Path) -> None:
    assert capture(["pwd"], cwd=tmp_path) == f"{tmp_path}\n"
    assert capture(["sh", "-c", "echo y"]) == "y\n"
    assert capture(["false"]) is None
    assert capture(["no-such-program"]) is None


def test_lines_come_from_both_streams_in_order() -> None:
    script = "echo one; echo two >&2; printf 'three \\377'"
    assert list(lines(["sh", "-c", script])) == ["one", "two", "three \N{REPLACEMENT CHARACTER}"]


def test_lines_of_a_program_that_fails_come_before_the_error() -> None:
    running = lines(["sh", "-c", "echo one; exit 3"])
    assert next(running) == "one"
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        next(running)
    with pytest.raises(FileNotFoundError):
        list(lines(["no-such-program"]))


def test_a_consumer_that_stops_ends_the_program() -> None:
    running = lines(["sh", "-c", "echo $$; exec sleep 100"])
    pid = int(next(running))
    running.close()  # type: ignore[attr-defined]  # lines is a generator
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_within_interruptible_a_signal_is_raised(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, interruptible():
        os.kill(os.getpid(), number)
    assert (caught.value.number, caught.value.exit_code) == (number, 128 + number)
    assert str(caught.value) == number.name
    assert signal.getsignal(number) == before


def test_a_signal_within_the_code_of_a_lock_is_raised_as_that() -> None:
    lock = threading.Lock()

    def wait() -> None:
        with interruptible(), lock:
            lock.release()  # as `Condition.wait` does; the signal comes before it is acquired again
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        wait()


def test_a_deferred_signal_waits_until_the_block_is_done() -> None:
    done = []

    def block() -> None:
        with interruptible(), deferred_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("what it creates")

    with pytest.raises(Interrupted):
        block()
    assert done


def test_a_dropped_signal_is_forgotten() -> None:
    with interruptible():
        with deferred_signals(drop=True):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


def test_signals_wait_for_the_outermost_block_and_come_once() -> None:
    done = []

    def block() -> None:
        with interruptible(), deferred_signals():
            with deferred_signals():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            os.kill(os.getpid(), signal.SIGINT)
            done.append("outer")

    with pytest.raises(Interrupted) as raised:
        block()
    assert (raised.value.number, done) == (signal.SIGTERM, ["inner", "outer"])
    with interruptible():
        done.append("and no more")


def test_what_a_block_drops_is_what_came_within_it() -> None:
    def block() -> None:
        with interruptible(), deferred_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            with deferred_signals(drop=True):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as raised:
        block()
    assert raised.value.number == signal.SIGTERM
    with interruptible(), deferred_signals(drop=True):
        with deferred_signals():
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_no_handler_of_failures_swallows_an_interruption() -> None:
    assert not issubclass(Interrupted, Exception)


def test_a_program_that_is_interrupted_leaves_no_child() -> None:
    script = (
        "import sys; from trainer import subprocesses\n"
        "with subprocesses.interruptible():\n"
        "    for line in subprocesses.lines(['sh', '-c', 'echo $$; exec sleep 100']): print(line, flush=True)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as program:
        assert program.stdout
        pid = int(program.stdout.readline())
        program.terminate()
        program.wait(10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_after_nohup_a_closed_terminal_stops_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_came_just_before_a_wait_ends_it() -> None:
    """The same as one that another thread got: the main thread's wait is not interrupted by it."""
    ours, theirs = socket.socketpair()

    woken, came = threading.Event(), list[str]()

    def another() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if not woken.wait(20):
            theirs.send(b"what it waits for")
            came.append("too late")

    def wait() -> None:
        with interruptible():
            thread.start()
            ours.recv(1)

    thread = threading.Thread(target=another)
    with ours, theirs, pytest.raises(Interrupted):
        wait()
    woken.set()
    thread.join()
    assert came == []
