"""Every trainer image, from inside: its smoke test, and the tests of what only runs there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

import docker
import pytest
from docker.types import Mount
from support import REPOSITORY, Site
from trainer.images import spec, trainer_image
from trainer.workspace.settings import Workspace, find

# What pytest consists of; none of it is compiled, so the host's files run in a container as well.
_PYTEST = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")
_OPT_IN = {"tensorflow-gpu"}


def _names() -> list[str]:
    return sorted(path.parent.name for path in (REPOSITORY / "trainer_images").glob("*/image.yaml"))


@pytest.fixture(scope="module")
def site(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Site:  # noqa: ARG001
    """A workspace that builds and tags nothing but the image that a test names; others may be at work."""
    return Site(tmp_path_factory.mktemp("images"), port=5347)


@pytest.fixture(scope="module")
def pytest_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pytest as a folder for $PYTHONPATH."""
    folder = tmp_path_factory.mktemp("pytest")
    for name in _PYTEST:
        for file in files(name) or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(str(file.locate())), folder / file)
    return folder


def _inside(client: docker.DockerClient, image: str, command: list[str], mounts: dict[Path, str]) -> str:
    """The output of a command in a container without a network, as this user."""
    container = client.containers.run(
        image,
        command,
        detach=True,
        mounts=[Mount(target, str(source), "bind", read_only=True) for source, target in mounts.items()],
        user=f"{os.getuid()}:{os.getgid()}",
        environment={"PYTHONPATH": "/pytest", "HOME": "/tmp", "TRAINER_CACHE_DIR": "/tmp/cache",
                     "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        working_dir="/tmp",
        network_mode="none",
        shm_size="1g",
    )  # fmt: skip
    try:
        code = container.wait()["StatusCode"]
        output = container.logs().decode(errors="replace")
    finally:
        container.remove(force=True)
    assert code == 0, output
    return output


def _tag(workspace: Workspace, name: str) -> str:
    return trainer_image.plan(workspace, spec.spec(workspace, name)).tag


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.opt_in) if name in _OPT_IN else name for name in _names()
])  # fmt: skip
def test_an_image_builds_and_its_smoke_test_passes_in_it(
    site: Site, client: docker.DockerClient, name: str
) -> None:
    built = site.trainer("build-image", name, timeout_s=1800)
    assert built.code == 0, built.err
    smoke = (REPOSITORY / "trainer_images" / name / "smoke.py").resolve()
    output = _inside(client, _tag(find(site.root), name), ["python", "/smoke.py"], {smoke: "/smoke.py"})
    assert "ok    " in output
    assert "FAILED" not in output


@pytest.fixture(scope="module")
def with_test_images(site: Site) -> Iterator[Site]:
    """The workspace with an image more, that has all backends of Keras."""
    images = site.root / "trainer_images"
    images.unlink()
    shutil.copytree(REPOSITORY / "trainer_images", images, symlinks=True)
    shutil.copytree(Path(__file__).parent / "keras-backends", images / "keras-backends")
    yield site
    shutil.rmtree(images)
    images.symlink_to(REPOSITORY / "trainer_images")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name", sorted(path.name for path in (REPOSITORY / "tests" / "inside").iterdir() if path.is_dir())
)
def test_what_runs_in_an_image_passes_its_tests_there(
    with_test_images: Site, client: docker.DockerClient, pytest_files: Path, name: str
) -> None:
    site = with_test_images
    built = site.trainer("build-image", name, timeout_s=1800)
    assert built.code == 0, built.err
    mounts = {REPOSITORY / "tests" / "inside" / name: "/tests", pytest_files: "/pytest",
              REPOSITORY / "train_code": "/train_code"}  # fmt: skip
    command = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=/tests", "/tests"]
    output = _inside(client, _tag(find(site.root), name), command, mounts)
    print(output)
    assert " passed" in output
    assert "skipped" not in output


@pytest.mark.timeout(1800)
@pytest.mark.opt_in
def test_the_gpu_image_knows_what_it_was_built_for(site: Site, client: docker.DockerClient) -> None:
    built = site.trainer("build-image", "gpu", timeout_s=1800)
    assert built.code == 0, built.err
    output = _inside(client, _tag(find(site.root), "gpu"), ["python", "-m", "trainkit.accelerator"], {})
    assert '"cuda": "12.' in output
    assert '"compute_90"' in output
