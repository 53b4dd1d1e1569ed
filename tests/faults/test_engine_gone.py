"""The engine goes away under a run: a private one, which is killed and started again; not the shared one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support import REPOSITORY, Site
from trainer import images, workspace

PROJECT = """
name: waiting
docker_env: {image: trainer/tiny}
entry_points: {main: {command: "sh -c 'echo ready; sleep 300'"}}
"""


class Engine:
    """A dockerd of its own data, sockets and network namespace: it can break nothing that another one has."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.address = f"unix://{place}/sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.place / "pid").unlink(missing_ok=True)
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "dockerd", "--data-root", self.place / "data",
                 "--exec-root", self.place / "exec", "--pidfile", self.place / "pid", "--host", self.address,
                 "--bridge", "none", "--iptables=false", "--ip6tables=false", "--group", "root",
                 "--host-gateway-ip", "127.0.0.1"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        give_up = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < give_up, (self.place / "log").read_text()
            time.sleep(0.1)

    def _answers(self) -> bool:
        asked = ["docker", "--host", self.address, "version"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()
        (self.place / "sock").unlink(missing_ok=True)

    def close(self) -> None:
        """End it and its containerd, which has the containers."""
        for container in self.client().containers.list(all=True):
            container.remove(force=True)
        assert self._process
        self._process.terminate()
        self._process.wait(timeout=60)
        # What it mounted before it was killed.
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in sorted((path for path in mounted if path.startswith(f"{self.place}/")), reverse=True):
            subprocess.run(["umount", path], check=True)

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.address)


@pytest.fixture(scope="module")
def own_engine() -> Iterator[Engine]:
    """Skipped where this is not root's machine, or fails where TRAINER_REQUIRE_DOCKER=1."""
    if os.geteuid() or not (shutil.which("dockerd") and shutil.which("unshare")):
        told = "an engine of one's own takes root, dockerd and unshare"
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but {told}")
        pytest.skip(told)
    place = Path(
        subprocess.check_output(["mktemp", "-d"], text=True).strip()
    )  # a socket's path has to be short
    engine = Engine(place)
    engine.start()
    yield engine
    engine.close()
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, own_engine: Engine) -> Iterator[Site]:
    """A workspace whose one image is a shell and `sleep`, on that engine."""
    place = tmp_path_factory.mktemp("tiny")
    site = Site(place / "site", port=5740)
    (site.root / "trainer_images").unlink()
    ours = site.root / "trainer_images"
    shutil.copytree(
        REPOSITORY / "trainer_images", ours,
        ignore=lambda folder, names: [n for n in names if (Path(folder) / n / "image.yaml").exists()],
    )  # fmt: skip
    (ours / "tiny").mkdir()
    (ours / "tiny" / "image.yaml").touch()
    (ours / "tiny" / "requirements.txt").touch()
    (site.root / "train_code" / "waiting").mkdir()
    (site.root / "train_code" / "waiting" / "MLproject").write_text(PROJECT)
    here = workspace.find(site.root)
    plan = images.plan(here, images.spec(here, "tiny"))
    _import(own_engine, place, plan.tag)
    yield site
    site.trainer("server", "down", "--force")


def _import(engine: Engine, place: Path, tag: str) -> None:
    programs = [Path(found).resolve() for name in ("sh", "sleep", "rm") if (found := shutil.which(name))]
    told = subprocess.check_output(["ldd", *programs], text=True)
    libraries = {Path(found) for found in re.findall(r"(/\S+)(?= \()", told)}
    # Whoever asks the tracking server with it is told that there is no client.
    python = place / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with tarfile.open(place / "image.tar", "w") as tar:
        for program, name in zip(programs, ("sh", "sleep", "rm"), strict=True):
            tar.add(program, f"bin/{name}")
        tar.add(python, "bin/python")
        for library in libraries:
            tar.add(library.resolve(), str(library).lstrip("/"))
    repository, _, version = tag.partition(":")
    engine.client().api.import_image_from_file(str(place / "image.tar"), repository, version)


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


def test_while_the_engine_is_gone_nothing_is_said_of_a_run_that_may_still_live(
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
