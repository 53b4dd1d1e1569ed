"""A real engine, the image, PostgreSQL and an S3 server, or the reason why these tests cannot run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Site

from tracking_server import containers, services
from tracking_server.asking import ADMIN, PASSWORD, Either
from tracking_server.containers import FOLDER, IMAGE, RELEASE, Server, docker
from tracking_server.services import Bucket, Postgres

CANARY = "canary-of-the-workspace"  # in secrets.env


def _cannot(reason: str) -> None:
    if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
        pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from the folder as it is; a build that changes nothing takes a second."""
    try:
        result = docker("version", check=False)
    except FileNotFoundError:
        _cannot("there is no docker command")
    if result.returncode:
        _cannot(f"no engine answers: {result.stderr.strip()}")
    base = os.environ.get("TRAINER_BASE_IMAGE", "python:3.11-slim-bookworm")
    docker(
        "build", "--quiet", "--tag", IMAGE, "--build-arg", f"BASE_IMAGE={base}", str(FOLDER), timeout_s=900
    )
    return IMAGE


@pytest.fixture(scope="session")
def host(image: str) -> Iterator[str]:  # noqa: ARG001
    """This machine's address on a network that is there for these tests alone."""
    yield containers.gateway()
    docker("network", "rm", containers.NETWORK)


@pytest.fixture(scope="session")
def postgres(host: str) -> Iterator[Postgres]:
    """A PostgreSQL cluster that containers reach."""
    try:
        with services.postgres(host, "fsync=off") as cluster:
            yield cluster
    except containers.CannotRun as error:
        _cannot(str(error))


@pytest.fixture(scope="session")
def released(postgres: Postgres) -> str:
    """The name of a database that is migrated, to be copied by `Postgres.database`."""
    url = postgres.database()
    done = containers.once(RELEASE, {"DATABASE_URL": url})
    assert done.returncode == 0, done.stderr
    return url.rpartition("/")[2]


@pytest.fixture
def database(postgres: Postgres, released: str) -> str:
    """The URL of a migrated database of the test's own."""
    return postgres.database(released)


@pytest.fixture(scope="session")
def server(postgres: Postgres, released: str) -> Iterator[Server]:
    """A server that tests share, with PostgreSQL and artifacts on a volume."""
    with (
        containers.volume() as data,
        containers.serving(
            {"DATABASE_URL": postgres.database(released)}, "--volume", f"{data}:/data"
        ) as shared,
    ):
        shared.ready()
        yield shared


@pytest.fixture(scope="session")
def bucket(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket on a real S3 server."""
    folder: Path = tmp_path_factory.mktemp("s3")
    try:
        with services.bucket(host, folder) as made:
            yield made
    except containers.CannotRun as error:
        _cannot(str(error))


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace whose server is a process."""
    site = Site(tmp_path_factory.mktemp("own"), port=5470)
    site.secret("API_KEY", CANARY)
    yield site
    site.trainer("server", "down")


@pytest.fixture(params=["process", "container"])
def either(request: pytest.FixtureRequest) -> Either:
    """Each of the servers."""
    if request.param == "process":
        site: Site = request.getfixturevalue("process")
        return Either(site.uri, site.account)
    server: Server = request.getfixturevalue("server")
    return Either(server.url, (ADMIN, PASSWORD))
