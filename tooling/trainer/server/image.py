"""The image of the tracking server, built from mlflow_tracking_server/."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.images import leftovers as images
from trainer.images import spec
from trainer.images.spec import BASE_LABEL, DIGEST_LABEL, PREFIX
from trainer.leftovers import Leftovers
from trainer.server import files
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

NAME = "tracking-server"


@dataclass(frozen=True)
class ServerImage:
    """The image as it is to be: the tag is the digest of the folder's content and the base image's name."""

    folder: Path
    base_image: str
    digest: str
    name: str = NAME
    parent: None = None

    @property
    def tag(self) -> str:
        """`trainer/tracking-server:0123456789ab`."""
        return f"{PREFIX}{self.name}:{self.digest[:12]}"

    @property
    def tags(self) -> tuple[str, ...]:
        """All that it bears."""
        return (self.tag,)

    @property
    def root_base(self) -> str:
        """What it is built on."""
        return self.base_image

    def build_context(self) -> AbstractContextManager[None]:
        """All of it lies in its folder."""
        return nullcontext()

    def build_command(self, *, no_cache: bool = False) -> list[str]:
        """The BuildKit build; `no_cache` without what is cached of it."""
        return [
            "docker", "buildx", "build", "--progress=plain", "--load",
            *(["--no-cache"] if no_cache else []),
            f"--build-arg=BASE_IMAGE={self.base_image}",
            f"--label={DIGEST_LABEL}={self.digest}",
            f"--label={BASE_LABEL}={self.base_image}",
            f"--tag={self.tag}",
            str(self.folder),
        ]  # fmt: skip


def plan(workspace: Workspace, base_image: str | None = None) -> ServerImage:
    """What building it comes to; raises `InvalidInput` where the folder lacks its Dockerfile."""
    packed = files.pack(workspace)
    base = spec.chosen_base(workspace, base_image)
    digest = hashlib.sha256(f"{packed.version}\0{base}".encode()).hexdigest()
    return ServerImage(packed.folder, base, digest)


def leftovers(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Builds of it from other inputs than today's, that no container has."""
    current = {plan(workspace, base).tag for base in images.bases(client)}
    return images.earlier(workspace, client, (NAME,), current)
