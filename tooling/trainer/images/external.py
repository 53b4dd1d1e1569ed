"""Images that trainer did not build: used as they are, pulled if they are missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.engine import daemon
from trainer.errors import ImageError
from trainer.images import build, pull
from trainer.progress import Steps
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExternalImage:
    """An image by its reference, as in `docker run`. Nothing of trainer's is in it."""

    tag: str
    digest: str = ""
    requirements_digest: str = ""
    base_image: str = ""
    has_trainkit: bool = False
    has_cache: bool = False
    # Nobody knows before a container of it runs.
    has_cuda: bool = True
    has_entrypoint: bool = True
    has_environment: bool = False
    wants_gpus: bool = False
    is_of_project: bool = False
    can_be_built: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def root_base(self) -> str:
        """Nobody says what it was built on."""
        return ""

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.tag

    def is_known(self, workspace: Workspace) -> bool:  # noqa: ARG002 (nothing of it is stored with a run)
        """It is not built."""
        return True

    def packed(self, workspace: Workspace) -> None:
        """Nothing of it is stored with a run."""

    def ensure(self, workspace: Workspace, client: docker.DockerClient, steps: Steps) -> str:  # noqa: ARG002 (nothing is built)
        """By a pull if need be, with the credentials of `docker login`."""
        if image_id := build.image_id(client, self.tag):
            return image_id
        _LOG.info("Image %s is pulled: the engine does not have it", self.tag)
        try:
            pull.pull(client, self.tag, steps)
        except pull.PullFailed as error:
            raise _not_to_be_had(self.tag, str(error)) from None
        if image_id := build.image_id(client, self.tag):
            return image_id
        raise _not_to_be_had(self.tag, "the pull brought none of that name")

    def environment(self, folder: Path, source: Path, uv: str) -> list[list[str]]:  # noqa: ARG002 (none is made)
        """Not to be had."""
        raise TypeError(f"no environment can be made of {self.tag}")


def entrypoint(client: docker.DockerClient, image_id: str) -> tuple[tuple[str, ...], str]:
    """What the image puts before every command, as `docker run` does, and its WORKDIR."""
    with daemon.failures():
        config = client.api.inspect_image(image_id).get("Config") or {}
    return tuple(config.get("Entrypoint") or ()), str(config.get("WorkingDir") or "/")


def _not_to_be_had(reference: str, why: str) -> ImageError:
    return ImageError(
        f"The image {reference} is not available locally and cannot be pulled: "
        f"{why.strip().splitlines()[0][:200]}",
        "Check its name, build it, or `docker login` where it is kept. `trainer images` lists trainer's own.",
    )
