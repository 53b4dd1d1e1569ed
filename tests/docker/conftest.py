"""A real engine, or the reason why these tests cannot run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from sites import client, left_behind, port, site  # noqa: F401 (fixtures)
from support import REPOSITORY, Site


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test leaves the engine without containers of runs, and the workspace without their folders."""
    if "site" not in request.fixturenames:
        yield
        return
    site: Site = request.getfixturevalue("site")
    client: docker.DockerClient = request.getfixturevalue("client")
    yield
    assert left_behind(site, client) == []


def _images(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name / "image.yaml").exists()]


@pytest.fixture
def small(
    client: docker.DockerClient,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A workspace whose images hold nothing but trainkit: they build in seconds, and are gone afterwards."""
    # Else those of other tests, which have the same images, would be in use.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    (tmp_path / "trainer.yaml").touch()
    ours = tmp_path / "trainer_images"
    shutil.copytree(REPOSITORY / "trainer_images", ours, ignore=_images)
    made = {"test-parent": "{}", "test-child": "inherits: test-parent", "test-cuda": "gpu: true"}
    for name, said in made.items():
        (ours / name).mkdir()
        (ours / name / "image.yaml").write_text(said)
        (ours / name / "requirements.txt").touch()
    yield tmp_path
    for tag in [tag for image in client.images.list() for tag in image.tags]:
        if tag.startswith(tuple(f"trainer/{name}:" for name in made)):
            client.images.remove(tag, force=True)
