import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from trainer import locks


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    assert not locks.held(path)
    lock = locks.acquire(path)
    assert lock is not None
    assert locks.held(path)
    assert locks.acquire(path) is None
    lock.release()
    assert not locks.held(path)


def test_who_may_only_read_may_ask(tmp_path: Path) -> None:
    lock = locks.acquire(tmp_path / "lock")
    assert lock is not None
    (tmp_path / "lock").chmod(0o400)
    assert locks.held(tmp_path / "lock")
    lock.release()
    assert not locks.held(tmp_path / "lock")


def test_asking_makes_no_file(tmp_path: Path) -> None:
    assert not locks.held(tmp_path / "deep" / "lock")
    assert list(tmp_path.iterdir()) == []


def test_a_dead_holders_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = (
        f"import os, signal\nfrom pathlib import Path\nfrom trainer import locks\n"
        f"locks.acquire(Path({str(path)!r})); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert path.exists()
    assert not locks.held(path)


def test_a_child_that_is_handed_the_lock_holds_it_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = locks.acquire(path)
    assert lock is not None
    heir = subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[lock.fileno()]
    )
    other = subprocess.Popen(["sleep", "100"])
    lock.release()
    assert locks.held(path)
    heir.communicate()
    assert not locks.held(path)  # a child that was not handed it does not hold it
    other.kill()
    other.wait()


def test_exclusive_waits_for_its_turn(tmp_path: Path) -> None:
    path, order = tmp_path / "deep" / "lock", []

    def second() -> None:
        with locks.exclusive(path):
            order.append("second")

    with locks.exclusive(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_two_that_only_ask_do_not_take_each_other_for_a_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    path.touch()
    real, answers = fcntl.flock, []

    def ask_meanwhile(descriptor: int, operation: int) -> None:
        real(descriptor, operation)
        monkeypatch.setattr(fcntl, "flock", real)
        answers.append(locks.held(path))

    monkeypatch.setattr(fcntl, "flock", ask_meanwhile)
    assert not locks.held(path)
    assert answers == [False]
