"""Whatever ends a run, its status says so within seconds and no container stays."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import docker
import pytest
from support import Site
from trainer.backends.docker.config import container_name


@pytest.mark.parametrize(
    ("mode", "number", "code"),
    [
        ("sleep", signal.SIGINT, 130),
        ("sleep", signal.SIGTERM, 143),
        ("sleep", signal.SIGHUP, 129),
        ("stubborn", signal.SIGTERM, 143),
    ],
)
def test_a_signal_stops_the_container_within_10_s(
    site: Site, tmp_path: Path, mode: str, number: signal.Signals, code: int
) -> None:
    process = site.until_ready("--mode", mode)
    done, seconds = site.stop(process, number)
    assert done.code == code
    assert seconds < 10
    assert done.err.splitlines()[-2].startswith("Error: Stopped")
    run = site.runs()[0]
    assert run.info.status == "KILLED"
    assert run.data.tags["trainer.end"] == f"stopped by {number.name}"
    if mode == "sleep":  # a Python script's `finally` has run
        assert "cleaned up" in site.log(run.info.run_id, tmp_path)


def test_a_container_that_somebody_stops_is_not_finished(site: Site, client: docker.DockerClient) -> None:
    process = site.until_ready("--mode", "polite")  # which exits with 0 when it is told to stop
    client.containers.get(container_name(site.runs()[0].info.run_id)).stop()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 87
    assert "Error: The container was stopped from outside." in err
    assert site.runs()[0].info.status == "KILLED"


def test_a_container_that_somebody_removes_is_lost(site: Site, client: docker.DockerClient) -> None:
    process = site.until_ready("--mode", "sleep")
    client.containers.get(container_name(site.runs()[0].info.run_id)).remove(force=True)
    process.communicate(timeout=60)
    assert process.returncode == 87
    run = site.runs()[0]
    assert (run.info.status, run.data.tags["trainer.end"]) == ("KILLED", "lost")


def test_a_run_whose_launcher_was_killed_is_ended_by_the_next_command(site: Site, tmp_path: Path) -> None:
    process = site.until_ready("--mode", "nap")
    process.kill()
    process.wait()
    run_id = site.runs()[0].info.run_id
    still = site.trainer("reconcile")
    assert run_id in still.out
    assert "RUNNING" in still.out
    time.sleep(4)
    assert site.run(run_id).info.status == "RUNNING"
    assert site.trainer("run", "probe", "-e", "quick").code == 0
    run = site.run(run_id)
    assert (run.info.status, run.data.tags["trainer.end"]) == ("FINISHED", "done")
    assert site.log(run_id, tmp_path).endswith("ready\n")


def test_a_detached_run_returns_at_once_and_ends_by_itself(site: Site) -> None:
    done = site.trainer("run", "probe", "--mode", "nap", "--detach")
    assert done.code == 0
    assert "RUNNING" in done.out
    give_up = time.monotonic() + 60
    while site.run(done.run_id).info.status == "RUNNING" or site.leftovers():
        assert time.monotonic() < give_up
        time.sleep(0.5)
    assert site.run(done.run_id).info.status == "FINISHED"


def test_a_server_that_is_gone_at_the_end_is_reported_later(site: Site) -> None:
    process = site.until_ready("--mode", "nap")
    refused = site.trainer("server", "down")
    assert refused.code == 2
    assert refused.error[0].startswith("Error: 1 live run reports to this server: ")
    assert site.trainer("server", "down", "--force").out == "Stopped.\n"
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "are on this disk alone: The tracking server" in err
    assert "Nothing is lost: `trainer sync` brings them when the server answers." in err
    assert "FINISHED" in site.trainer("reconcile").out
    assert site.runs()[0].info.status == "FINISHED"
