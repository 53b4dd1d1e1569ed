"""The image of the tracking server, built from mlflow_tracking_server/."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from trainer.images import leftovers as images
from trainer.images import spec
from trainer.images.folder_image import FolderImage
from trainer.leftovers import Leftovers
from trainer.server import files
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

NAME = "tracking-server"


def plan(workspace: Workspace, base_image: str | None = None) -> FolderImage:
    """What building it comes to; raises `InvalidInput` where the folder lacks its Dockerfile."""
    packed = files.pack(workspace)
    base = spec.chosen_base(workspace, base_image)
    digest = hashlib.sha256(f"{packed.version}\0{base}".encode()).hexdigest()
    return FolderImage(NAME, packed.folder, base, digest)


def leftovers(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Builds of it from other inputs than today's, that no container has."""
    current = {plan(workspace, base).tag for base in images.bases(client)}
    return images.earlier(workspace, client, (NAME,), current)
