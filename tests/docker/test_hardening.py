"""What a run's container may do, as the engine and the processes in it say; and two builds at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import docker
import pytest
from support import Site
from trainer.backends.docker.config import container_name
from trainer.errors import RunLost

Facts = dict[str, Any]  # Any: whatever the engine's inspection has


@pytest.fixture(scope="module")
def inspecting(site: Site, client: docker.DockerClient) -> Facts:
    """A live run, as `docker inspect` showed it."""
    process = site.until_ready("--mode", "sleep")
    facts: Facts = client.api.inspect_container(container_name(site.runs()[0].info.run_id))
    site.stop(process, signal.SIGINT)
    return facts


def test_a_container_has_no_more_rights_than_training_needs(inspecting: Facts) -> None:
    host = inspecting["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 4096
    assert host["Init"] is True
    assert host["ShmSize"] == 2 << 30


def test_a_container_is_told_to_stop_as_a_terminal_would(inspecting: Facts) -> None:
    assert (inspecting["Config"]["StopSignal"], inspecting["Config"]["StopTimeout"]) == ("SIGINT", 5)


def test_a_run_is_started_by_the_images_id_which_a_moved_tag_does_not_change(
    inspecting: Facts, site: Site, client: docker.DockerClient
) -> None:
    planned = json.loads(site.trainer("run", "probe", "--dry-run", "--json").out)["image"]["tag"]
    image = client.api.inspect_image(planned)["Id"]
    assert inspecting["Image"] == image
    assert inspecting["Config"]["Image"] == image


def _project(site: Site, name: str, code: str) -> None:
    project = site.root / "train_code" / name
    project.mkdir()
    (project / "MLproject").write_text(
        f"name: {name}\ndocker_env: {{image: trainer/sklearn}}\n"
        "entry_points: {main: {command: python main.py}}\n"
    )
    (project / "main.py").write_text(code)


RIGHTS = """
import os
from pathlib import Path
status = dict(line.split(":\\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
print("capabilities", {status[name] for name in status if name.startswith("Cap")})
print("privileges", status["NoNewPrivs"])
print("ids", os.getuid(), os.getgid(), os.environ["USER"], os.environ["HOME"])
print("shm", os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize >> 20)
print("first process", Path("/proc/1/comm").read_text())
"""


def test_the_processes_of_a_run_see_these_limits(site: Site) -> None:
    _project(site, "rights", RIGHTS)
    done = site.trainer("run", "rights")
    assert done.code == 0, done.err
    assert "capabilities {'0000000000000000'}" in done.out
    assert "privileges 1" in done.out
    assert f"ids {os.getuid()} {os.getgid()} trainer /trainer/home" in done.out
    assert "shm 2048" in done.out
    assert "first process docker-init" in done.out


WRITING = """
import os, subprocess
from pathlib import Path
for place in ("/", "/opt/trainer", "/var/tmp", "/tmp", "/trainer/code", os.environ["HOME"], "/cache"):
    try:
        (Path(place) / "written").write_text("#!/bin/sh\\necho executed\\n")
    except OSError as problem:
        print(place, problem.strerror)
    else:
        (Path(place) / "written").chmod(0o755)
        print(place, subprocess.run([Path(place) / "written"], capture_output=True, text=True).stdout.strip())
        (Path(place) / "written").unlink()
import mlflow
mlflow.log_metric("answer", 42)
"""


def test_a_read_only_run_writes_to_tmp_its_own_folder_and_the_caches_alone(
    site: Site, client: docker.DockerClient
) -> None:
    began = int(time.time())
    _project(site, "writing", WRITING)
    done = site.trainer("run", "writing", "--read-only")
    assert done.code == 0, done.err
    refused = [f"{place} Read-only file system" for place in ("/", "/opt/trainer", "/var/tmp")]
    allowed = [f"{place} executed" for place in ("/tmp", "/trainer/code", "/trainer/home", "/cache")]
    assert done.out.splitlines()[:7] == refused + allowed
    assert site.run(done.run_id).data.metrics["answer"] == 42
    # Of the volumes that it had, the caches alone are left; others may be other tests'.
    seen = list(client.events(since=began, until=int(time.time()) + 1, decode=True))
    name = container_name(done.run_id)
    ours = {said["id"] for said in seen if said["Actor"]["Attributes"].get("name") == name and "id" in said}
    mounts = [said["Actor"] for said in seen if (said["Type"], said["Action"]) == ("volume", "mount")]
    mounted = {actor["ID"] for actor in mounts if actor["Attributes"]["container"] in ours}
    left = {str(volume.name) for volume in client.volumes.list()}
    assert mounted & left == {f"trainer-cache-{os.getuid()}"}


def test_what_forks_without_end_is_stopped_at_the_limit(site: Site) -> None:
    (site.root / "trainer.yaml").write_text("server_port: 5300\npids_limit: 32\n")
    try:
        _project(
            site, "forking",
            "import subprocess, time\n"
            "try:\n"
            "    all = [subprocess.Popen(['sleep', '60']) for _ in range(100)]\n"
            "except OSError as problem:\n"
            "    print('stopped:', problem.strerror)\n",
        )  # fmt: skip
        done = site.trainer("run", "forking")
    finally:
        (site.root / "trainer.yaml").write_text("server_port: 5300\n")
    assert "stopped: Resource temporarily unavailable" in done.out


def test_of_two_builds_at_once_one_builds_and_the_other_finds_it(
    small: Path, site: Site, client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Another workspace with the same inputs: the engine is one, and so is the tag.
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(small, other, dirs_exist_ok=True)
    both = [
        site.start("--workspace", str(place), "build-image", "test-parent", "--json", "--progress", "plain")
        for place in (small, other)
    ]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    (one,), (two,) = (json.loads(out) for out, _ in ends)
    assert one["id"] == two["id"] == client.api.inspect_image(one["tag"])["Id"]
    assert sorted([one["built"], two["built"]]) == [False, True]
    waited = ends[0 if two["built"] else 1][1]
    assert f"Waiting for another trainer that builds {one['tag']}" in waited


ESCAPE = """
import json, os, pathlib, sys
from trainkit.spool.journal import Spool
spool = Spool(pathlib.Path(os.environ["TRAINER_SPOOL"]))
host = os.environ["HOST_FOLDER"]
uri = spool.run()["info"]["artifact_uri"]
place = spool.folder / "outbox" / ("a" * 32)
place.mkdir(parents=True)
(place / "stolen").symlink_to(f"{host}/secrets.env")
(place / "planted").write_text("planted")
(spool.folder / "refused").symlink_to(f"{host}/planted-log")
spool.append({"file": str((place / "stolen").relative_to(spool.folder)), "uri": uri, "path": ""})
spool.append({"file": f"{host}/secrets.env", "uri": uri, "path": ""})
spool.append({"file": f"{host}/secrets.env", "uri": uri, "path": "", "known": 1})
planted = str((place / "planted").relative_to(spool.folder))
spool.append({"file": planted, "uri": f"file://{host}", "path": ""})
(spool.folder / "outbox" / ("b" * 32)).symlink_to(host)
spool.append({"file": f"outbox/{'b' * 32}/secrets.env", "uri": uri, "path": ""})
spool.append({})
spool.append({"method": "POST", "path": "/api/2.0/mlflow/runs/log-batch", "body": {"metrics": 1}})
(spool.folder / "outbox").chmod(0o300)
spool.folder.chmod(0o300)
"""


def test_a_run_does_not_get_out_by_what_it_leaves_in_its_spool(site: Site) -> None:
    _project(site, "escaping", ESCAPE)
    file = site.root / "train_code" / "escaping" / "MLproject"
    file.write_text(
        file.read_text().replace("sklearn}", f'sklearn, environment: [[HOST_FOLDER, "{site.root}"]]}}')
    )
    before = (site.root / "secrets.env").read_text()
    done = site.trainer("run", "escaping")
    assert done.code == 84, done.err
    assert re.search(
        "The tracking server refused 7 records of the run [0-9a-f]{8} for good: It leads out", done.err
    )
    assert (site.root / "secrets.env").read_text() == before
    assert not (site.root / "planted").exists()
    assert not (site.root / "planted-log").exists()
    names = {artifact.path for artifact in site.client.list_artifacts(done.run_id)}
    assert "train.log" in names
    assert not names & {"stolen", "secrets.env", "planted"}


def test_a_run_that_puts_a_link_in_the_place_of_its_result_has_none(site: Site) -> None:
    _project(site, "lying", "import os\nos.symlink('/tmp', '/trainer/run/result')\n")
    done = site.trainer("run", "lying")
    assert done.code == RunLost.exit_code, done.err
    assert "it was cut off" in done.err
    assert site.trainer("reconcile").out == "Nothing to do: no run is unattended.\n"
