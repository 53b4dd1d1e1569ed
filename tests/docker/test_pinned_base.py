"""Bases that are pinned by digest, with a real registry on this machine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from support import Result, Site
from trainer.images import build, spec, trainer_image
from trainer.workspace import settings

pytestmark = pytest.mark.usefixtures("without_the_machines_base")


@dataclass(frozen=True)
class Registry:
    """A registry that has the base as `NAME:1`, and its digest there."""

    process: subprocess.Popen[bytes]
    name: str
    digest: str

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def without_the_machines_base(monkeypatch: pytest.MonkeyPatch) -> str:
    """The base that the other tests build on; here it is what image.yaml says."""
    base = os.environ.get("TRAINER_BASE_IMAGE") or settings.DEFAULT_BASE_IMAGE
    monkeypatch.delenv("TRAINER_BASE_IMAGE", raising=False)
    return base


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _push(client: docker.DockerClient, name: str, base: str) -> str:
    """Make `NAME:1` anew, unlike any other, and give it to the registry; its digest there."""
    container = client.api.create_container(base, ["true"])["Id"]
    client.api.commit(container, name, "1", changes=f"LABEL of={secrets.token_hex()}")
    client.api.remove_container(container)
    client.images.push(name, tag="1")
    (digest,) = client.api.inspect_image(f"{name}:1")["RepoDigests"]
    return str(digest.partition("@")[2])


def _forget(client: docker.DockerClient, name: str) -> None:
    """Remove what came from that registry, or is to go there, from the engine."""
    for image in client.images.list(name=name):
        client.api.remove_image(str(image.id), force=True)


@pytest.fixture
def registry(
    client: docker.DockerClient, without_the_machines_base: str, tmp_path: Path
) -> Iterator[Registry]:
    if shutil.which("docker-registry") is None:
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(
                "TRAINER_REQUIRE_DOCKER=1, but there is no docker-registry: apt-get install docker-registry"
            )
        pytest.skip("there is no docker-registry")
    port = _free_port()
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
    )
    name = f"127.0.0.1:{port}/test/base"
    process = subprocess.Popen(["docker-registry", "serve", config], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < until
            time.sleep(0.1)
        yield Registry(process, name, _push(client, name, without_the_machines_base))
    finally:
        process.terminate()
        process.wait()
        _forget(client, name)


@pytest.fixture
def pinnable(small: Path, registry: Registry) -> Path:
    (small / "trainer_images" / "test-parent" / "image.yaml").write_text(
        f"# Ours.\ndescription: small\nbase_image: {registry.name}:1  # see the wiki\n"
    )
    return small


def _build(site: Site, root: Path, *arguments: str) -> Result:
    return site.trainer("--workspace", str(root), "build-image", *arguments)


def _file(root: Path) -> Path:
    return root / "trainer_images" / "test-parent" / "image.yaml"


def test_a_base_is_pinned_and_built_on(
    pinnable: Path,
    site: Site,
    registry: Registry,
    client: docker.DockerClient,
    without_the_machines_base: str,
) -> None:
    pinned = f"{registry.name}:1@{registry.digest}"
    before = _file(pinnable).read_text()
    tried = _build(site, pinnable, "test-parent", "--pin-base", "--dry-run")
    assert (tried.code, tried.out) == (0, f"test-parent: {registry.name}:1 → {pinned}\n")
    assert _file(pinnable).read_text() == before
    done = _build(site, pinnable, "test-parent", "--pin-base")
    assert (done.code, done.out) == (0, tried.out), done.err
    assert _file(pinnable).read_text() == before.replace(f"{registry.name}:1", pinned)
    again = _build(site, pinnable, "--all", "--pin-base", "--base-image", f"{registry.name}:1", "--json")
    assert {row["name"]: row["changed"] for row in json.loads(again.out)} == {
        "test-cuda": True,
        "test-parent": False,
    }

    # The tag moves on, and the base is not here any more: what is pulled is what was pinned.
    assert _push(client, registry.name, without_the_machines_base) != registry.digest
    _forget(client, registry.name)
    built = _build(site, pinnable, "test-child")
    assert built.code == 0, built.err
    here = settings.find(pinnable)
    plan = trainer_image.plan(here, spec.spec(here, "test-parent"))
    origin = build.origin(client, plan.tag)
    assert (origin.base_image, origin.base_image_digest) == (pinned, f"{registry.name}@{registry.digest}")
    assert origin.base_image_id == client.api.inspect_image(pinned)["Id"]

    registry.stop()
    no_cache = _build(site, pinnable, "test-parent", "--no-cache")
    assert no_cache.code == 0, no_cache.err
    listed = site.trainer("--workspace", str(pinnable), "images", "--json")
    assert {row["name"]: row["status"] for row in json.loads(listed.out)}["test-parent"] == "up to date"


def test_a_pin_that_cannot_be_had_is_an_error(pinnable: Path, site: Site, registry: Registry) -> None:
    other = f"{registry.name}:1@sha256:{'0' * 64}"
    done = _build(site, pinnable, "test-parent", "--base-image", other)
    assert done.code == 83
    assert (
        done.err.splitlines()[-2]
        == f"Error: The base image {other} is not available locally and cannot be pulled."
    )


def test_why_nothing_can_be_pinned(
    pinnable: Path, site: Site, registry: Registry, without_the_machines_base: str
) -> None:
    before = _file(pinnable).read_text()

    def refused(*arguments: str) -> tuple[int, str, str]:
        done = _build(site, pinnable, *arguments, "--pin-base")
        assert _file(pinnable).read_text() == before
        message, hint = done.err.splitlines()[-2:]
        return done.code, message, hint

    code, message, hint = refused("test-parent", "--base-image", f"{registry.name}:2")
    assert (code, hint) == (83, "Hint:  Look at the name and the tag; docker login if it is a private one.")
    assert message.startswith(f"Error: The registry has no {registry.name}:2, or does not show it: ")
    assert refused("test-child") == (
        2,
        "Error: The image test-child inherits from test-parent, and has no base of its own.",
        "Hint:  trainer build-image test-parent --pin-base",
    )
    local = f"127.0.0.1:{_free_port()}/none:1"
    subprocess.run(["docker", "tag", without_the_machines_base, local], check=True)
    try:
        assert refused("test-parent", "--base-image", local) == (
            83,
            f"Error: {local} was built on this machine; it is not known to be in a registry.",
            "Hint:  Push it to a registry and use its name there, or pin another: --base-image IMAGE",
        )
    finally:
        subprocess.run(["docker", "rmi", local], check=True)
    registry.stop()
    code, message, hint = refused("test-parent")
    assert (code, hint) == (
        83,
        "Hint:  Pin it on a machine that reaches the registry, and commit the image.yaml.",
    )
    assert message.startswith(f"Error: The registry of {registry.name}:1 does not answer: ")
