"""A real engine, or the reason why these tests cannot run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support import REPOSITORY, Site
from trainer import engine, server, workspace
from trainer.errors import EngineError


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The engine; without one the test is skipped, or fails where TRAINER_REQUIRE_DOCKER=1."""
    try:
        return engine.connect()
    except EngineError as problem:
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but: {problem.message}")
        pytest.skip(problem.message)


@pytest.fixture(scope="session")
def site(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:  # noqa: ARG001
    """One workspace with one server for all tests; its image is built once."""
    site = Site(tmp_path_factory.mktemp("site"), port=5300)
    built = site.trainer("build-image", "sklearn")
    assert built.code == 0, built.err
    yield site
    site.trainer("server", "down")


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test leaves the engine without containers of runs, and the workspace without their folders."""
    if "site" not in request.fixturenames:
        yield
        return
    site: Site = request.getfixturevalue("site")
    client: docker.DockerClient = request.getfixturevalue("client")
    yield
    ours = f"trainer.workspace={server.identity(workspace.find(site.root))}"
    assert client.containers.list(all=True, filters={"label": ours}) == []
    assert site.leftovers() == []


def _images(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name / "image.yaml").exists()]


@pytest.fixture
def small(client: docker.DockerClient, tmp_path: Path) -> Iterator[Path]:
    """A workspace whose images hold nothing but trainkit: they build in seconds, and are gone afterwards."""
    (tmp_path / "trainer.yaml").touch()
    ours = tmp_path / "trainer_images"
    shutil.copytree(REPOSITORY / "trainer_images", ours, ignore=_images)
    for name, said in (
        ("test-parent", "{}"),
        ("test-child", "inherits: test-parent"),
        ("test-cuda", "gpu: true"),
    ):
        (ours / name).mkdir()
        (ours / name / "image.yaml").write_text(said)
        (ours / name / "requirements.txt").touch()
    yield tmp_path
    for tag in [tag for image in client.images.list() for tag in image.tags]:
        if tag.startswith("trainer/test-"):
            client.images.remove(tag, force=True)
