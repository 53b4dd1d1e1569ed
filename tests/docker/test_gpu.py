"""A GPU that is asked for on a machine without one: never a slow run on the CPU.

The engine of these tests has no GPU; what is compared where there is one is in tests/unit/host/test_gpu.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import docker
import pytest
from support import Result, Site
from trainer.engine import daemon, one_off

PROJECT = """\
name: on-gpu
docker_env: {image: trainer/test-cuda}
entry_points: {main: {command: python -c "print('ran')"}}
"""


@pytest.fixture(autouse=True)
def _no_gpu(client: docker.DockerClient) -> None:
    if "nvidia" in client.info()["Runtimes"]:
        pytest.fail("this machine has the NVIDIA container toolkit: these tests are for one without")


def _run(site: Site, small: Path, *options: str) -> Result:
    project = small / "train_code" / "on-gpu"
    project.mkdir(parents=True)
    (project / "MLproject").write_text(PROJECT)
    return site.trainer("--workspace", str(small), "run", str(project), *options, env=site.access)


def test_an_image_for_gpus_is_not_even_built_without_one(
    site: Site, small: Path, client: docker.DockerClient
) -> None:
    before = len(site.runs())
    done = _run(site, small)
    assert done.code == 88
    assert done.err.splitlines()[-2:] == [
        "Error: --gpus all: this machine has no usable NVIDIA GPU (nvidia-smi does not answer).",
        "Hint:  Install the driver, or pass --gpus none to run on the CPU.",
    ]
    assert client.images.list("trainer/test-cuda") == []
    assert len(site.runs()) == before


def test_an_engine_that_cannot_hand_over_a_gpu_is_asked_before_there_is_a_run(
    site: Site, small: Path
) -> None:
    built = site.trainer("--workspace", str(small), "build-image", "test-cuda")
    assert built.code == 0, built.err
    before = len(site.runs())
    done = _run(site, small)
    assert done.code == 88
    assert done.err.splitlines()[-2:] == [
        "Error: --gpus all: the Docker engine cannot give a GPU to a container.",
        "Hint:  Install the NVIDIA container toolkit on the engine's machine, "
        "or pass --gpus none to run on the CPU.",
    ]
    assert len(site.runs()) == before


def test_the_cpu_can_be_had_on_purpose(site: Site, small: Path) -> None:
    done = _run(site, small, "--gpus", "none")
    assert done.code == 0, done.err
    assert "ran" in done.out


def test_a_driver_without_the_container_toolkit_is_a_finding_of_the_doctor(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA H200, 570.124.06\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    told = site.trainer("doctor", "--json", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    [found] = [check for check in json.loads(told.out) if check["name"] == "gpu"]
    assert found["status"] == "warning"
    assert found["found"] == "NVIDIA H200, 570.124.06, but the engine has no NVIDIA runtime"
    assert "nvidia-ctk runtime configure" in found["fix"]


def test_a_command_in_a_container_leaves_nothing_but_its_output(
    site: Site, small: Path, client: docker.DockerClient
) -> None:
    assert site.trainer("--workspace", str(small), "build-image", "test-cuda").code == 0
    script = "import sys; open('/tmp/f', 'wb').write(b'\\0file'); print('out'); sys.exit('err')"
    output = one_off.run(daemon.connect(), "trainer/test-cuda", ["python", "-c", script], fetch="/tmp/f")
    assert output == one_off.Output(1, "out\n", "err\n", b"\0file")
    missing = one_off.run(daemon.connect(), "trainer/test-cuda", ["true"], fetch="/tmp/none")
    assert (missing.code, missing.file) == (0, None)
    assert client.containers.list(all=True, filters={"ancestor": "trainer/test-cuda"}) == []
