"""The code of a large project, kept on the engine as a layer on the run's image.

The engine writes the files of an archive into a container one by one, and removes them one by one with it.
What is launched again as it was is therefore committed once, from a container that nothing else was put
into and that never ran; a run's own container then has the files from the start, and has copies of those
alone that it changes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import locks, subprocesses
from trainer.backends.base import Launch
from trainer.backends.docker.config import PLACE
from trainer.engine import run_user
from trainer.engine.one_off import NO_ENTRYPOINT
from trainer.images import build
from trainer.source import cache
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker
    from docker.models.images import Image

REPOSITORY = "trainer-code"
DIGEST_LABEL, KEY_LABEL, IMAGE_LABEL = "trainer.code", "trainer.code_of", "trainer.code_on"
WORKSPACE_LABEL = "trainer.workspace"


@contextlib.contextmanager
def layered(
    client: docker.DockerClient, workspace: Workspace, folder: Path, launch: Launch
) -> Iterator[str | None]:
    """Within: the id of an image that has the launch's code already, and that no other launch removes.

    None where the engine cannot keep it.
    """
    key, identity = cache.key(folder), workspace.identity
    labels = {
        DIGEST_LABEL: launch.repeated_code,
        KEY_LABEL: key,
        IMAGE_LABEL: launch.image_id,
        WORKSPACE_LABEL: identity,
    }
    identity_text = repr((identity, key, launch.image_id, launch.repeated_code, run_user.of(client)))
    tag = f"{REPOSITORY}:{hashlib.sha256(identity_text.encode()).hexdigest()[:12]}"
    with locks.exclusive(workspace.state / "code" / f"{key}.layer.lock"):
        yield build.image_id(client, tag) or _make(client, launch, tag, labels)


def tags(image: Image) -> list[str]:
    """Those that were given here: an image that is built on such an image has its labels, too."""
    return [tag for tag in image.tags if tag.startswith(f"{REPOSITORY}:")]


def _make(client: docker.DockerClient, launch: Launch, tag: str, labels: dict[str, str]) -> str | None:
    from docker.errors import APIError
    from requests import Timeout

    with contextlib.suppress(APIError, Timeout):
        created = client.api.create_container(
            launch.image_id, ["true"], entrypoint=NO_ENTRYPOINT, working_dir=f"{PLACE}/code", labels=labels
        )["Id"]
        try:
            with launch.folder.source.open("rb") as archive:
                client.api.put_archive(created, PLACE, archive)
            subprocesses.raise_deferred()
            client.api.commit(created, repository=REPOSITORY, tag=tag.partition(":")[2])
        finally:
            client.api.remove_container(created, force=True, v=True)
        _remove_others(client, tag, labels)
    return build.image_id(client, tag)


def _remove_others(client: docker.DockerClient, tag: str, labels: dict[str, str]) -> None:
    """Of the project's earlier code. What a container has stays, until the next time or `trainer gc`."""
    from docker.errors import APIError

    ours = [f"{label}={labels[label]}" for label in (KEY_LABEL, WORKSPACE_LABEL)]
    for image in client.images.list(filters={"label": ours}):
        for other in set(tags(image)) - {tag}:
            with contextlib.suppress(APIError):
                client.images.remove(other)
