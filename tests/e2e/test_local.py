"""The local backend: the same promises without a container."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import CANARY, DEAD_ENGINE, Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace on a machine whose engine does not answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", DEAD_ENGINE)
        # In a URI, the `%20` of the folder's name would mean something else.
        site = Site(tmp_path_factory.mktemp("local") / "a%20b 100%", port=5500)
        yield site
        site.trainer("server", "down")


@pytest.fixture(autouse=True)
def nothing_left(site: Site) -> Iterator[None]:
    """Every test leaves the workspace without folders of live runs."""
    yield
    assert site.leftovers() == []


def test_a_run_is_finished_and_pinned(site: Site, tmp_path: Path) -> None:
    done = site.trainer("run", "probe", "--backend", "local")
    assert done.code == 0, done.err
    run = site.run(done.run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"answer": 42})
    assert run.data.tags["mlflow.trainer.image_id"].startswith("sklearn-")
    assert site.log(done.run_id, tmp_path) == "mode metric\n"


@pytest.mark.parametrize(
    ("mode", "code", "end"), [("exit", 3, "exit code 3"), ("signal", 139, "ended by SIGSEGV")]
)
def test_a_run_that_goes_wrong_says_how(site: Site, mode: str, code: int, end: str) -> None:
    done = site.trainer("run", "probe", "--backend", "local", "--mode", mode)
    assert done.code == code
    run = site.run(done.run_id)
    assert (run.info.status, run.data.tags["trainer.end"]) == ("FAILED", end)


def test_the_secret_reaches_the_script_and_no_output(site: Site, tmp_path: Path) -> None:
    done = site.trainer("run", "probe", "--backend", "local", "--mode", "secret")
    assert "the token is ***" in done.out
    assert CANARY not in done.out + done.err + site.log(done.run_id, tmp_path)


@pytest.mark.parametrize(
    ("mode", "number", "code"), [("sleep", signal.SIGINT, 130), ("stubborn", signal.SIGTERM, 143)]
)
def test_a_signal_stops_the_process_within_10_s(
    site: Site, mode: str, number: signal.Signals, code: int
) -> None:
    process = site.until_ready("--backend", "local", "--mode", mode)
    done, seconds = site.stop(process, number)
    assert (done.code, seconds < 10) == (code, True)
    assert site.runs()[0].info.status == "KILLED"


def test_a_run_whose_launcher_was_killed_is_ended_by_the_next_command(site: Site) -> None:
    process = site.until_ready("--backend", "local", "--mode", "nap")
    process.kill()
    process.wait()
    run_id = site.runs()[0].info.run_id
    assert "RUNNING" in site.trainer("reconcile").out
    time.sleep(4)
    assert "FINISHED" in site.trainer("reconcile").out
    assert site.run(run_id).info.status == "FINISHED"


def test_what_needs_a_container_is_refused(site: Site) -> None:
    before = len(site.runs())
    done = site.trainer("run", "probe", "--backend", "local", "--memory", "1g")
    assert done.code == 2
    assert (
        done.err.splitlines()[-2]
        == "Error: --memory needs a container: the local backend cannot limit memory."
    )
    assert len(site.runs()) == before


def test_without_an_engine_docker_is_an_error_and_auto_says_what_it_does(site: Site) -> None:
    done = site.trainer("run", "probe")
    assert done.code == 82
    assert done.error[0] == f"Error: No Docker engine answers at {DEAD_ENGINE}."
    done = site.trainer("run", "probe", "--backend", "auto", "-e", "quick")
    assert done.code == 0
    assert "Running on the local backend instead." in done.err
