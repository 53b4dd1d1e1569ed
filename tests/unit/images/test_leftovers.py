"""Which images `trainer gc` offers on an engine that several workspaces share."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import docker
import pytest
from docker.errors import ImageNotFound
from shown import Shown
from trainer.images import build, leftovers, project_env, spec, trainer_image
from trainer.images.spec import DIGEST_LABEL
from trainer.images.trainer_image import TrainerImage
from trainer.workspace.settings import Workspace, find

from unit.helpers import make_workspace, put


@dataclass
class Engine:
    """One that has images by their tags, and no container."""

    tags: dict[str, tuple[str, ...]]
    """With their labels."""

    @property
    def client(self) -> docker.DockerClient:
        """As docker-py's."""
        listed = SimpleNamespace(list=self._list)
        api = SimpleNamespace(inspect_image=self._inspect, tag=lambda *_: None)
        containers = SimpleNamespace(list=lambda **_: [])
        return cast(docker.DockerClient, SimpleNamespace(images=listed, api=api, containers=containers))

    def _list(self, filters: dict[str, str]) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                id=tag, tags=[tag], labels={}, attrs={"Size": 1, "Created": "2020-01-01T00:00:00Z"}
            )
            for tag, labels in self.tags.items()
            if filters["label"] in labels
        ]

    def _inspect(self, tag: str) -> dict[str, object]:
        if tag not in self.tags:
            raise ImageNotFound(tag)
        return {"Id": tag, "RepoTags": [tag]}

    def used(self, workspace: Workspace, change: str) -> str:
        """The tag of the image small, which the workspace uses with such inputs from now on."""
        put(workspace.images / "small" / "requirements.txt", f"mlflow==3.17.2 --hash=sha256:{change}\n")
        image = trainer_image.plan(workspace, spec.spec(workspace, "small"))
        self.tags[image.tag] = (DIGEST_LABEL,)
        build.ensure(workspace, self.client, image, Shown())
        return image.tag

    def offered(self, workspace: Workspace) -> set[str]:
        """What `trainer gc` offers there."""
        return {leftover.name for leftover in leftovers.of_builds(workspace, self.client).found}


@pytest.fixture
def engine() -> Engine:
    return Engine({})


@pytest.fixture
def other(tmp_path: Path) -> Workspace:
    """A second workspace, with an image of the same name."""
    make_workspace(tmp_path / "other")
    return find(tmp_path / "other")


def test_an_earlier_build_is_offered_where_it_was_used(
    workspace: Workspace, other: Workspace, engine: Engine
) -> None:
    before, now = engine.used(workspace, "00"), engine.used(workspace, "11")
    theirs = engine.used(other, "22")
    assert now != before
    assert engine.offered(workspace) == {before}
    assert engine.offered(other) == set()
    newer = engine.used(other, "33")
    assert (engine.offered(workspace), engine.offered(other)) == ({before}, {theirs})
    assert newer in engine.tags


def test_one_that_several_workspaces_use_stays_until_none_does(
    workspace: Workspace, other: Workspace, engine: Engine
) -> None:
    shared = engine.used(workspace, "00")
    assert engine.used(other, "00") == shared
    engine.used(workspace, "11")
    assert engine.offered(workspace) == set()
    engine.used(other, "22")
    assert engine.offered(workspace) == engine.offered(other) == {shared}


def test_those_of_a_workspace_that_is_gone_and_of_none_are_offered(
    workspace: Workspace, other: Workspace, engine: Engine
) -> None:
    engine.tags["trainer/small:ffffffffffff"] = (DIGEST_LABEL,)
    theirs = engine.used(other, "22")
    assert engine.offered(workspace) == {"trainer/small:ffffffffffff"}
    shutil.rmtree(other.root)
    assert engine.offered(workspace) == {"trainer/small:ffffffffffff", theirs}


def test_an_environment_of_another_workspaces_project_is_left_to_that(
    workspace: Workspace, other: Workspace, engine: Engine
) -> None:
    tag = "trainer/env-wine:0123456789ab"
    engine.tags[tag] = (DIGEST_LABEL, project_env.LABEL)

    def offered(place: Workspace) -> list[str]:
        return [leftover.name for leftover in leftovers.of_projects(place, engine.client, 30).found]

    assert offered(workspace) == [tag]
    environment = cast(TrainerImage, SimpleNamespace(tag=tag, tags=(tag,), parent=None))
    build.ensure(other, engine.client, environment, Shown())
    assert offered(workspace) == []
    assert offered(other) == [tag]


def test_a_home_that_cannot_be_written_is_no_error(
    workspace: Workspace, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    before = engine.used(workspace, "00")
    engine.used(workspace, "11")
    assert engine.offered(workspace) == {before}
