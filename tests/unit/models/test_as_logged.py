"""A model that only its framework can run needs the image of its run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import docker
import pytest
from docker.errors import ImageNotFound
from trainer.errors import InvalidInput
from trainer.images import spec, trainer_image
from trainer.models import as_logged
from trainer.runs.run_record import RunRecord
from trainer.workspace.settings import Workspace

from unit.helpers import put


def engine(*tags: str) -> docker.DockerClient:
    def inspect(tag: str) -> dict[str, str]:
        if tag not in tags:
            raise ImageNotFound(tag)
        return {"Id": "sha256:1"}

    return cast(docker.DockerClient, SimpleNamespace(api=SimpleNamespace(inspect_image=inspect)))


@pytest.fixture
def record(workspace: Workspace) -> RunRecord:
    """Of a run in the image small, as it is today."""
    plan = trainer_image.plan(workspace, spec.spec(workspace, "small"))
    image = SimpleNamespace(
        name="small", tag=plan.tag, digest=plan.digest, requirements_digest=plan.requirements_digest
    )
    return cast(RunRecord, SimpleNamespace(image=image))


def asked(workspace: Workspace, record: RunRecord, *tags: str) -> str:
    return as_logged.image_of(workspace, engine(*tags), record, "spread@1", "0123456789")


def test_it_is_served_in_the_image_of_its_run_and_in_no_other(
    workspace: Workspace, record: RunRecord
) -> None:
    assert asked(workspace, record, record.image.tag) == record.image.tag
    with pytest.raises(InvalidInput) as gone:
        asked(workspace, record, "trainer/small:latest")
    assert (gone.value.message, gone.value.hint) == (
        f"The image {record.image.tag}, in which spread@1 was trained, is gone.",
        "Have it built again: trainer build-image small",
    )


def test_where_the_workspaces_is_another_meanwhile_the_runs_is_built_by_reproducing_it(
    workspace: Workspace, record: RunRecord
) -> None:
    put(workspace.images / "small" / "image.yaml", "apt: [git]\n")
    with pytest.raises(InvalidInput) as gone:
        asked(workspace, record)
    assert gone.value.hint == "Have it built again: trainer reproduce 01234567"
