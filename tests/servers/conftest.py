"""A workspace for each version of the server, and a run that it has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import docker
import pytest
from sites import client  # noqa: F401 (a fixture)
from support import PROJECTS, Done, Site

from servers.versions import ALWAYS, VERSIONS, Running, serving


@dataclass(frozen=True)
class Place:
    """A workspace that reports to a server of another version."""

    server: Running
    site: Site

    def model(self, *arguments: str) -> Done:
        """Run the project that logs a model."""
        return self.site.trainer("run", "model", *arguments)


@pytest.fixture(
    scope="session",
    params=[one if one in ALWAYS else pytest.param(one, marks=pytest.mark.opt_in) for one in VERSIONS],
)
def place(
    request: pytest.FixtureRequest,
    client: docker.DockerClient,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """The server of one version, and a workspace that names it."""
    with serving(request.param, tmp_path_factory.mktemp("server")) as server:
        site = Site(tmp_path_factory.mktemp("site"), port=5490)
        shutil.copytree(PROJECTS / "model", site.root / "train_code" / "model")
        (site.root / "trainer.yaml").write_text(f"tracking_uri: {server.uri}\n")
        yield Place(server, site)
        assert site.leftovers() == []


@pytest.fixture(scope="session")
def trained(place: Place) -> Done:
    """A run that has ended, with a registered model."""
    done = place.model("--register", "registered")
    assert done.code == 0, done.err
    return done
