"""A workspace for each version of the server, and a run that it has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import docker
import pytest
from _pytest.mark import ParameterSet
from sites import client  # noqa: F401 (a fixture)
from support import PROJECTS, Result, Site
from tracking_server import services
from tracking_server.containers import CannotRun

from servers.versions import ALWAYS, STORES, VERSIONS, Running, serving


@dataclass(frozen=True)
class Place:
    """A workspace that reports to a server of another version."""

    server: Running
    site: Site

    def model(self, *arguments: str) -> Result:
        """Run the project that logs a model."""
        return self.site.trainer("run", "model", *arguments)


def cannot(problem: CannotRun) -> NoReturn:
    """Skip the test, or fail where TRAINER_REQUIRE_DOCKER=1."""
    if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
        pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but: {problem}")
    pytest.skip(str(problem))


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], str]]:
    """Makes a database on a PostgreSQL cluster that the tests share; its URL as SQLAlchemy has it."""
    try:
        with services.postgres("127.0.0.1", "fsync=off") as cluster:
            # SQLAlchemy 2.1 takes another driver where none is named.
            yield lambda: cluster.database().replace("postgres://", "postgresql+psycopg2://")
    except CannotRun as error:
        cannot(error)


def _with_store(version: str, store: str) -> ParameterSet:
    marks = () if (version, store) in ALWAYS else (pytest.mark.opt_in,)
    return pytest.param((version, store), id=f"{version}-{store}", marks=marks)


@pytest.fixture(
    scope="session", params=[_with_store(version, store) for version in VERSIONS for store in STORES]
)
def place(
    request: pytest.FixtureRequest,
    client: docker.DockerClient,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """The server of one version with one kind of database, and a workspace that names it."""
    version, store = request.param
    database = request.getfixturevalue("new_database")() if store == "PostgreSQL" else ""
    with serving(version, tmp_path_factory.mktemp("server"), database=database) as server:
        site = Site(tmp_path_factory.mktemp("site"), port=5490)
        shutil.copytree(PROJECTS / "model", site.root / "train_code" / "model")
        (site.root / "trainer.yaml").write_text(f"tracking_uri: {server.uri}\n")
        yield Place(server, site)
        assert site.leftovers() == []


@pytest.fixture(scope="session")
def trained(place: Place) -> Result:
    """A run that has ended, with a registered model."""
    done = place.model("--register", "registered")
    assert done.code == 0, done.err
    return done
