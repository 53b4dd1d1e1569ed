"""A real engine and a workspace on it, for the tests of each folder that needs them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError
from support import Site
from trainer.engine import daemon
from trainer.errors import EngineError
from trainer.workspace import settings


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The engine; without one the test is skipped, or fails where TRAINER_REQUIRE_DOCKER=1."""
    try:
        return daemon.connect()
    except EngineError as error:
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but: {error.message}")
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def port() -> int:
    """The workspace's server's; a folder whose tests run beside those of others has its own."""
    return 5300


@pytest.fixture(scope="session")
def site(
    client: docker.DockerClient,  # noqa: ARG001
    port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """One workspace with one server for all tests; its image is built once."""
    site = Site(tmp_path_factory.mktemp("site"), port)
    built = site.trainer("build-image", "sklearn")
    assert built.code == 0, built.err
    yield site
    site.trainer("server", "down")


def left_behind(site: Site, client: docker.DockerClient) -> list[str]:
    """Containers and folders of runs that a test has left; they go, as those of `Site.left_behind`."""
    ours = f"trainer.workspace={settings.find(site.root).identity}"
    containers = client.containers.list(all=True, filters={"label": ours}, ignore_removed=True)
    for container in containers:
        with contextlib.suppress(APIError):
            container.remove(force=True)
    return [*(str(container.name) for container in containers), *site.left_behind()]
