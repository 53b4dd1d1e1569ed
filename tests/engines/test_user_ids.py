"""Engines with user ids of their own: rootless, and with `userns-remap`. The runs are an ordinary user's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import private_engine
import pytest
from private_engine import Engine
from support import Site

pytestmark = pytest.mark.root
USER = "nobody"
# git refuses a repository of another user, unless that one's caller says that it is safe.
TRUSTED = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
SCRIPT = """
set -e
id -u
cat "/data/$1/one.csv" code.txt
for place in . /cache "$TRAINER_SPOOL"; do : >"$place/written"; done
test -n "$PROBE_TOKEN"
"""
PROJECT = """
name: hello
docker_env: {image: trainer/tiny, environment: [PROBE_TOKEN]}
entry_points:
  main:
    parameters: {data: {type: string, dataset: true, default: numbers}}
    command: sh script.sh {data}
  wait: {command: "sh -c 'echo ready; sleep 300'"}
"""


@dataclass(frozen=True)
class Place:
    """An engine, and a workspace on it whose files are for an ordinary user alone."""

    engine: Engine
    site: Site
    kind: str

    @property
    def env(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.engine.address}


@pytest.fixture(scope="module", params=["rootless", "userns"])
def there(request: pytest.FixtureRequest) -> Iterator[Place]:
    private_engine.needs("dockerd", "unshare", "rootlesskit", "slirp4netns", "newuidmap", "setpriv")
    kind = request.param
    with private_engine.place_for_one() as place, private_engine.place_for_one() as files:
        engine = (
            private_engine.rootless(place, USER) if kind == "rootless" else private_engine.remapped(place)
        )
        engine.start()
        try:
            site = _site(engine, files)
            yield Place(engine, site, kind)
            site.trainer("server", "down", "--force")
        finally:
            engine.close()


def _site(engine: Engine, place: Path) -> Site:
    site = private_engine.tiny_site(place / "site", 5750, {"hello": PROJECT})
    private_engine.import_tiny(engine, site, place)
    (site.root / "train_code" / "hello" / "script.sh").write_text(SCRIPT)
    (site.root / "train_code" / "hello" / "code.txt").write_text("code\n")
    (site.root / "data" / "numbers").mkdir()
    (site.root / "data" / "numbers" / "one.csv").write_text("1\n")
    private_engine.give(place, USER)
    (engine.place / "sock").chmod(0o666)  # else the group docker's
    site.within = private_engine.as_user(USER, place)
    return site


def test_a_run_ends_finished_and_what_it_wrote_is_its_users(there: Place) -> None:
    site, env = there.site, there.env
    if there.kind == "userns":
        refused = site.trainer("run", "hello", "--offline", env=env)
        assert refused.code == 2
        *_, error, hint = refused.err.splitlines()
        closed = site.root / "data"
        assert error.startswith(f"Error: {closed} is closed to the run, which is another user here: the ")
        assert hint == f"Hint:  chmod -R o+rX {closed}, or use another engine."
        assert site.leftovers() == []
        private_engine.let_others_read(closed)
    done = site.trainer("run", "hello", "--offline", env=env)
    assert done.code == 0, done.err
    assert done.out.splitlines()[:3] == ["0" if there.kind == "rootless" else "1000", "1", "code"]
    (kept,) = site.leftovers()
    written = site.root / ".trainer" / "runs" / kept / "spool" / "written"
    assert written.owner() == USER
    assert site.trainer("sync", env=env).code == 0
    (run,) = site.runs()
    assert run.info.status == "FINISHED"


def test_a_run_is_listed_and_stopped(there: Place) -> None:
    site, env = there.site, there.env
    started = site.trainer("run", "hello", "-e", "wait", "--detach", env=env)
    assert started.code == 0, started.err
    (live,) = json.loads(site.trainer("ps", "--json", env=env).out)
    assert (live["project"], live["state"]) == ("hello", "running")
    stopped = site.trainer("stop", "--all", env=env)
    assert stopped.code == 0, stopped.err
    give_up = time.monotonic() + 60
    while site.leftovers() and time.monotonic() < give_up:  # it is delivered in the background
        time.sleep(0.2)
    assert site.run(live["run_id"]).info.status == "KILLED"
    assert there.engine.client().containers.list(all=True) == []


def test_doctor_says_which_kind_it_is(there: Place) -> None:
    payload = json.loads(there.site.trainer("doctor", "--json", env=there.env).out)
    result = next(check["found"] for check in payload if check["name"] == "engine")
    assert f"{there.engine.address}, {there.kind}" in result


def test_a_rootless_engine_of_another_user_is_refused_before_anything_is_made(there: Place) -> None:
    if there.kind != "rootless":
        return
    there.site.within = ()  # as root, who may use every socket
    try:
        refused = there.site.trainer("run", "hello", "--offline", env={**there.env, **TRUSTED})
    finally:
        there.site.within = private_engine.as_user(USER, there.site.root.parent)
    assert refused.code == 82
    assert refused.err.splitlines()[-2:] == [
        f"Error: The engine at {there.engine.address} is rootless and belongs to {USER}: "
        "it cannot mount your files.",
        f"Hint:  Run trainer as {USER}, or name an engine of yours in DOCKER_HOST.",
    ]
