"""A real engine and a workspace on it, for the tests of each folder that needs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import docker
import pytest
from support import Site
from trainer.engine import daemon
from trainer.errors import EngineError


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
def site(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:  # noqa: ARG001
    """One workspace with one server for all tests; its image is built once."""
    site = Site(tmp_path_factory.mktemp("site"), port=5300)
    built = site.trainer("build-image", "sklearn")
    assert built.code == 0, built.err
    yield site
    site.trainer("server", "down")
