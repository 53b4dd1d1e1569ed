"""Whether a process that was written down still lives."""

import os
import subprocess
import sys

from trainer.host import living

SHOW = "from trainer.host import living; print(living.this_process(), flush=True); input()"


def test_a_process_lives_until_it_has_ended_though_nobody_has_waited_for_it() -> None:
    assert living.is_alive(living.this_process())
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    known = process.stdout.readline().strip()
    assert living.is_alive(known)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
    assert living.is_alive(known) is False
    process.communicate()
    assert living.is_alive(known) is False


def test_a_later_process_of_its_number_is_another() -> None:
    scope, number, began = living.this_process().rsplit(" ", 2)
    assert living.is_alive(f"{scope} {number} {int(began) - 1}") is False


def test_of_another_machine_it_cannot_be_known() -> None:
    assert living.is_alive(f"another/pid:[1] {os.getpid()} 1") is None
    assert living.is_alive("") is None


def test_one_that_lives_is_interrupted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    known = process.stdout.readline().strip()
    assert living.interrupt(known)
    assert "KeyboardInterrupt" in process.communicate()[1]
    assert not living.interrupt(known)
