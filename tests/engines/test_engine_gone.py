"""The engine goes away under a run: a private one, which is killed and started again; not the shared one."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import private_engine
import pytest
from private_engine import Engine
from support import Site

pytestmark = pytest.mark.root
PROJECT = """
name: waiting
docker_env: {image: trainer/tiny}
entry_points: {main: {command: "sh -c 'echo ready; sleep 300'"}}
"""


@pytest.fixture(scope="module")
def own_engine() -> Iterator[Engine]:
    private_engine.needs("dockerd", "unshare")
    with private_engine.place_for_one() as place:
        engine = Engine(place)
        engine.start()
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, own_engine: Engine) -> Iterator[Site]:
    """A workspace whose one image is a shell and `sleep`, on that engine."""
    path = tmp_path_factory.mktemp("tiny")
    site = private_engine.tiny_site(path / "site", 5740, {"waiting": PROJECT})
    private_engine.import_tiny(own_engine, site, path)
    yield site
    site.trainer("server", "down", "--force")


def until_ready(site: Site, engine: Engine) -> subprocess.Popen[str]:
    process = site.start("run", "waiting", env={"DOCKER_HOST": engine.address})
    assert process.stdout
    assert process.stdout.readline().strip() == "ready", process.communicate()
    return process


def test_an_engine_that_comes_back_tells_how_the_run_ended(there: Site, own_engine: Engine) -> None:
    process = until_ready(there, own_engine)
    own_engine.kill()
    own_engine.start()  # which ends the containers that it had
    _, err = process.communicate(timeout=90)
    assert process.returncode not in (0, 1), err
    (run,) = there.runs()
    assert run.info.status in ("FAILED", "KILLED")
    assert own_engine.client().containers.list(all=True) == []
    assert there.leftovers() == []


def test_while_the_engine_is_gone_nothing_is_reported_a_run_that_may_still_live(
    there: Site, own_engine: Engine
) -> None:
    env = {"DOCKER_HOST": own_engine.address}
    process = until_ready(there, own_engine)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    own_engine.kill()
    run = there.runs()[0]
    for _ in range(2):
        told = there.trainer("reconcile", env=env)
        assert f"No Docker engine answers at {own_engine.address}." in told.err + told.out
        assert there.run(run.info.run_id).info.status == "RUNNING"
        assert there.leftovers() == [run.info.run_id]
    own_engine.start()
    there.trainer("reconcile", env=env)
    assert there.run(run.info.run_id).info.status in ("FAILED", "KILLED")
    assert there.leftovers() == []
