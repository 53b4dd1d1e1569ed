"""Podman's service, which speaks Docker's API: runs work there; images are not built with it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator

import docker
import private_engine
import pytest
from support import Site

pytestmark = pytest.mark.root

SCRIPT = """
set -e
test -n "$PROBE_TOKEN"
cat /data/numbers/one.csv code.txt
: >"$TRAINER_SPOOL/written"
"""
PROJECT = """
name: hello
docker_env: {image: trainer/tiny, environment: [PROBE_TOKEN]}
entry_points:
  main: {command: "sh script.sh"}
  wait: {command: "sh -c 'echo ready; sleep 300'"}
"""


class Podman:
    """A service of its own storage."""

    def __init__(self, address: str) -> None:
        self.address = address

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.address)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    private_engine.needs("podman", "catatonit")
    with private_engine.place_for_one() as place:
        # Podman's own limits are higher than what many virtual machines allow.
        limits = 'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]'
        (place / "containers.conf").write_text(f"[containers]\n{limits}\n")
        podman = Podman(f"unix://{place}/sock")
        process = subprocess.Popen(
            ["podman", "--root", place / "root", "--runroot", place / "run", "--cgroup-manager", "cgroupfs",
             "system", "service", "--time=0", podman.address],
            env={**os.environ, "CONTAINERS_CONF": str(place / "containers.conf")},
        )  # fmt: skip
        give_up = time.monotonic() + 60
        while not (place / "sock").exists():
            assert time.monotonic() < give_up
            time.sleep(0.1)
        files = tmp_path_factory.mktemp("tiny")
        site = private_engine.tiny_site(files / "site", 5755, {"hello": PROJECT})
        (site.root / "train_code" / "hello" / "script.sh").write_text(SCRIPT)
        (site.root / "train_code" / "hello" / "code.txt").write_text("code\n")
        (site.root / "data" / "numbers").mkdir()
        (site.root / "data" / "numbers" / "one.csv").write_text("1\n")
        private_engine.import_tiny(podman, site, files)
        os.environ["DOCKER_HOST"], before = podman.address, os.environ.get("DOCKER_HOST")
        try:
            yield site
        finally:
            site.trainer("server", "down", "--force")
            del os.environ["DOCKER_HOST"]
            if before:
                os.environ["DOCKER_HOST"] = before
            process.terminate()
            process.wait(timeout=60)
            subprocess.run(["umount", place / "root" / "overlay"], check=True)


def test_doctor_says_that_it_is_podman_and_what_is_missing(there: Site) -> None:
    payload = {check["name"]: check for check in json.loads(there.trainer("doctor", "--json").out)}
    assert payload["engine"]["found"].startswith("Podman ")
    assert payload["buildx"]["status"] == "warning"
    assert "has no BuildKit" in payload["buildx"]["found"]


def test_a_run_ends_finished(there: Site) -> None:
    done = there.trainer("run", "hello")
    assert done.code == 0, done.err
    assert done.out.splitlines()[:2] == ["1", "code"]
    assert there.run(done.run_id).info.status == "FINISHED"
    assert there.leftovers() == []


def test_a_run_is_listed_and_stopped(there: Site) -> None:
    started = there.trainer("run", "hello", "-e", "wait", "--detach")
    assert started.code == 0, started.err
    (live,) = json.loads(there.trainer("ps", "--json").out)
    assert (live["project"], live["state"]) == ("hello", "running")
    stopped = there.trainer("stop", "--all")
    assert stopped.code == 0, stopped.err
    give_up = time.monotonic() + 60
    while there.leftovers() and time.monotonic() < give_up:  # it is delivered in the background
        time.sleep(0.2)
    assert there.run(live["run_id"]).info.status == "KILLED"


def test_cores_are_one_runs_until_it_ends(there: Site) -> None:
    started = there.trainer("run", "hello", "-e", "wait", "--cpus", "1", "--detach")
    assert started.code == 0, started.err
    client = docker.DockerClient(base_url=os.environ["DOCKER_HOST"])
    (running,) = client.containers.list()
    assert running.attrs["HostConfig"]["CpusetCpus"] == "0"
    refused = there.trainer("run", "hello", "--cpus", str(os.cpu_count()))
    assert refused.code == 97, refused.err
    assert there.trainer("stop", "--all").code == 0
    give_up = time.monotonic() + 60
    while client.containers.list(all=True) and time.monotonic() < give_up:
        time.sleep(0.2)
    assert client.containers.list(all=True) == []
