"""Whatever dies, by whatever signal: the run's status, exit code and tags are true, and nothing is left.

What is true after every test is in the fixture `nothing_left`: no run is RUNNING, no container of one stays.
"""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from mlflow.entities import Run
from support import DEAD_ENGINE, Site
from trainer import locks
from trainer.backends.docker.config import container_name
from trainer.server import process as server
from trainer.workspace import settings

INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
Ending = tuple[str, str, str | None, str | None, str | None]


def ending(run: Run) -> Ending:
    """Status, why, exit code, signal and lack of memory, as the server has them."""
    tags = run.data.tags
    said = [tags.get(f"trainer.{name}") for name in ("exit_code", "signal", "out_of_memory")]
    return run.info.status, tags["trainer.end"], said[0], said[1], said[2]


DONE: Ending = ("FINISHED", "done", "0", None, None)


def newest(site: Site) -> str:
    return str(site.runs()[0].info.run_id)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def until_ended(client: docker.DockerClient, run_id: str) -> None:
    client.containers.get(container_name(run_id)).wait()


# The signal matrix: the command line, the container, the tracking server


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_to_the_command_line_stops_the_run(site: Site, number: signal.Signals) -> None:
    done, seconds = site.stop(site.until_ready("--mode", "sleep"), number)
    assert (done.code, seconds < 10) == (128 + number, True)
    status, why, _, said, _ = ending(site.runs()[0])
    assert (status, why, said) == ("KILLED", f"stopped by {number.name}", number.name)


def test_a_killed_command_line_leaves_a_run_that_goes_on_and_is_ended_truthfully(
    site: Site, client: docker.DockerClient
) -> None:
    site.stop(site.until_ready("--mode", "nap"), KILL)
    run_id = newest(site)
    for env in (None, {"DOCKER_HOST": DEAD_ENGINE}):  # it lives; and nobody can say whether it does
        site.trainer("reconcile", env=env)
        assert site.run(run_id).info.status == "RUNNING"
    until_ended(client, run_id)
    seen = time.time()
    time.sleep(2)
    assert "FINISHED" in site.trainer("reconcile").out
    ended = site.run(run_id)
    assert ending(ended) == DONE
    assert ended.info.end_time <= (seen + 1) * 1000  # when it ended, and not when that was seen
    assert site.trainer("reconcile").out == "Nothing to do: no run is unattended.\n"
    assert site.run(run_id).info.end_time == ended.info.end_time


@pytest.mark.parametrize(("number", "code"), [(INT, "130"), (TERM, "143"), (KILL, "137")])
def test_a_signal_to_the_container_is_distinguished_from_an_end_of_the_script(
    site: Site, client: docker.DockerClient, number: signal.Signals, code: str
) -> None:
    process = site.until_ready("--mode", "sleep")
    client.containers.get(container_name(newest(site))).kill(number.name)
    process.communicate(timeout=60)
    assert process.returncode == 87
    assert ending(site.runs()[0]) == ("KILLED", "stopped from outside", code, number.name, None)


def test_a_script_that_is_told_to_stop_and_ends_well_has_not_finished(
    site: Site, client: docker.DockerClient
) -> None:
    process = site.until_ready("--mode", "polite")
    client.containers.get(container_name(newest(site))).stop()
    process.communicate(timeout=60)
    assert process.returncode == 87
    assert ending(site.runs()[0]) == ("KILLED", "stopped from outside", "0", "SIGINT", None)


@pytest.mark.parametrize("number", [INT, TERM, KILL])
def test_a_tracking_server_that_dies_in_mid_run_gets_the_end_later(
    site: Site, number: signal.Signals
) -> None:
    process = site.until_ready("--mode", "nap")
    run_id = newest(site)
    kill_server(site, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 84), err
    site.trainer("reconcile")
    assert ending(site.run(run_id)) == DONE


def kill_server(site: Site, number: signal.Signals) -> None:
    """Send the server the signal and wait until it is gone."""
    here = settings.find(site.root)
    state = server.running(here)
    assert state
    os.kill(state.pid, number)
    until(lambda: not locks.held(here.state / "server.alive"))


# How a script ends


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--mode", "exit"], 3, ("FAILED", "exit code 3", "3", None, None)),
        (["--mode", "signal"], 139, ("FAILED", "ended by SIGSEGV", "139", "SIGSEGV", None)),
        (["--mode", "killed"], 137, ("FAILED", "ended by SIGKILL", "137", "SIGKILL", None)),
        (
            ["--mode", "memory", "--memory", "256m"],
            86,
            ("FAILED", "out of memory", "137", "SIGKILL", "true"),
        ),
        # The script goes on and exits with 0 after its child was killed.
        (["--mode", "child-memory", "--memory", "256m"], 86, ("FAILED", "out of memory", "0", None, "true")),
        # Without a GPU: the script raises what PyTorch would.
        (["--mode", "gpu-memory"], 94, ("FAILED", "GPU out of memory", "94", None, None)),
        # Nobody saw how the script ended: not even an exit code of 0 would count.
        (["--mode", "cut-off"], 87, ("KILLED", "stopped from outside", "137", "SIGKILL", None)),
    ],
    ids=[
        "exit 3",
        "segmentation fault",
        "SIGKILL",
        "out of memory",
        "a child out of memory",
        "GPU out of memory",
        "cut off",
    ],
)
def test_how_a_script_ended_is_in_the_tags(
    site: Site, arguments: list[str], code: int, expected: Ending
) -> None:
    done = site.trainer("run", "probe", *arguments)
    assert done.code == code, done.err
    assert ending(site.run(done.run_id)) == expected


# Detached, several at once, told later


def test_a_detached_run_whose_terminal_goes_away_ends_by_itself(site: Site) -> None:
    ours, theirs = pty.openpty()
    command = f"{sys.executable} -m trainer run probe --mode nap --detach; echo detached; sleep 60"

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    shell = subprocess.Popen(
        ["sh", "-c", command], cwd=site.root, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=take_terminal,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"detached\r\n" not in said:
        said += os.read(ours, 4096)
    run_id = newest(site)
    assert site.run(run_id).info.status == "RUNNING"
    os.close(ours)  # the terminal is closed: everything in it gets SIGHUP
    assert shell.wait(10) == -signal.SIGHUP
    until(lambda: site.run(run_id).info.status != "RUNNING" and not site.leftovers())
    assert ending(site.run(run_id)) == DONE


def test_of_two_runs_at_once_each_has_its_own_end(site: Site) -> None:
    first = site.until_ready("--mode", "sleep", "--run-name", "stopped")
    second = site.start("run", "probe", "--mode", "nap", "--run-name", "whole")
    assert site.stop(first, TERM)[0].code == 143
    second.communicate(timeout=60)
    assert second.returncode == 0
    ends = {run.info.run_name: ending(run) for run in site.runs()[:2]}
    assert ends["whole"] == DONE
    assert ends["stopped"][:2] == ("KILLED", "stopped by SIGTERM")


def test_an_end_that_nobody_saw_is_reported_when_the_server_is_back_and_ps_waits_for_neither(
    site: Site, client: docker.DockerClient
) -> None:
    site.stop(site.until_ready("--mode", "nap"), KILL)
    run_id = newest(site)
    kill_server(site, KILL)
    until_ended(client, run_id)
    start = time.monotonic()
    shown = site.trainer("ps")
    assert (
        time.monotonic() - start < 6
    )  # two of them for the run that ended, the rest for Python on a busy machine
    assert shown.code == 0
    assert "Earlier run" in shown.err
    until(lambda: not site.leftovers())
    assert ending(site.run(run_id)) == DONE


def test_a_run_whose_record_is_lost_is_ended_all_the_same(
    site: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    site.stop(site.until_ready("--mode", "nap"), KILL)
    run_id = newest(site)
    shutil.rmtree(site.root / ".trainer" / "runs")
    until_ended(client, run_id)
    assert "FINISHED" in site.trainer("reconcile").out
    assert ending(site.run(run_id)) == DONE
    assert site.log(run_id, tmp_path) == "mode nap\nready\n"


KILLED_BETWEEN = """
import os
from trainer.workspace import run_folders
from trainer.cli.main import main
run_folders.write = lambda *_: os._exit(9)
main(["run", "probe", "-e", "quick"])
"""


def test_a_launch_that_is_killed_between_making_its_run_and_writing_it_down(site: Site) -> None:
    subprocess.run([sys.executable, "-c", KILLED_BETWEEN], cwd=site.root, capture_output=True, check=False)
    run = site.runs()[0]
    assert run.info.status == "RUNNING"
    assert "KILLED" in site.trainer("reconcile").out
    ended = site.run(run.info.run_id)
    assert (ended.info.status, ended.data.tags["trainer.end"]) == ("KILLED", "stopped before it started")
    assert site.trainer("reconcile").out == "Nothing to do: no run is unattended.\n"


# Looking after a live run


def test_a_live_run_is_listed_followed_let_go_and_stopped(site: Site, tmp_path: Path) -> None:
    run_id = site.trainer("run", "probe", "--mode", "stubborn", "--detach").run_id
    follower = site.start("attach", run_id[:8])
    assert follower.stdout
    while follower.stdout.readline() != "ready\n":
        assert follower.poll() is None
    left, _ = site.stop(follower, INT)
    assert (left.code, "Detached. " in left.err) == (0, True)
    assert site.trainer("ps").out.splitlines()[1].split()[1:4] == [run_id[:8], "probe", "running"]
    follower = site.start("attach", "@last")
    until(lambda: site.trainer("logs", "@last").out == "mode stubborn\nready\n")
    stopped = site.trainer("stop", "@last")
    assert (stopped.code, "is stopped." in stopped.out) == (0, True)
    assert site.run(run_id).info.status == "KILLED"
    out, _ = follower.communicate(timeout=30)
    assert (follower.returncode, "KILLED" in out) == (87, True)
    assert ending(site.run(run_id)) == ("KILLED", "stopped by trainer stop", "137", "SIGKILL", None)
    again = site.trainer("stop", run_id)
    assert (again.code, "has ended already." in again.out) == (0, True)
    assert site.trainer("logs", run_id).out == site.log(run_id, tmp_path) == "mode stubborn\nready\n"


def test_a_killed_training_goes_on_from_its_last_epoch_with_no_step_logged_twice(
    site: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    process = site.until_ready("--mode", "epochs", "--memory", "1g")
    run_id = newest(site)
    client.containers.get(container_name(run_id)).kill("SIGKILL")
    process.communicate(timeout=60)
    refused = site.trainer("resume", run_id, env={"DOCKER_HOST": DEAD_ENGINE})
    assert (refused.code, site.run(run_id).info.status) == (82, "KILLED")
    # The code that it goes on with is its own, not what the folder has meanwhile.
    script = site.root / "train_code" / "probe" / "probe.py"
    before = script.read_text()
    script.write_text("raise SystemExit('another script')")
    done = site.trainer("resume", run_id[:6])
    script.write_text(before)
    assert done.code == 0, done.err
    assert ending(site.run(run_id)) == DONE
    points = site.client.get_metric_history(run_id, "epoch")
    assert [(point.step, point.value) for point in points] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    log = site.log(run_id, tmp_path)
    assert log.index("epoch 2\n") < log.index("going on after epoch 2\n") < log.index("epoch 4\n")
    assert site.trainer("resume", run_id).code == 2  # it has finished


def test_a_run_without_checkpoints_starts_over_only_if_asked(site: Site) -> None:
    done = site.trainer("run", "probe", "--mode", "exit")
    refused = site.trainer("resume", done.run_id)
    assert (refused.code, len(refused.error)) == (2, 2)
    assert site.trainer("resume", done.run_id, "--from-scratch").code == 3
    run = site.run(done.run_id)
    assert (run.data.tags["trainer.restarts"], ending(run)[1]) == ("1", "exit code 3")
