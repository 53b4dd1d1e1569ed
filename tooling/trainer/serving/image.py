"""The image that models are served in, built from trainer_images/serve/."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import InvalidInput
from trainer.images import leftovers as images
from trainer.images import lock, spec
from trainer.images.folder_image import FolderImage
from trainer.images.trainer_image import EPOCH
from trainer.leftovers import Leftovers
from trainer.workspace import resources
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

NAME = "serve"
_DOCKERFILE = f"{NAME}/Dockerfile"
# As in Dockerfile.dockerignore.
INPUTS = (
    "layer.sh", "uv.txt", _DOCKERFILE, f"{NAME}/Dockerfile.dockerignore", f"{NAME}/{lock.LOCK}",
    f"{NAME}/model_server/**/*.py", f"{NAME}/model_server/page/*", "trainkit/trainkit/**/*.py",
)  # fmt: skip


def plan(workspace: Workspace, base_image: str | None = None) -> FolderImage:
    """What building it comes to: of the workspace's own files, where it has such, else of trainer's.

    Raises `InvalidInput` where a file is missing.
    """
    folder = _folder(workspace)
    base = spec.chosen_base(workspace, base_image)
    digest = hashlib.sha256(f"{NAME}\0{base}".encode())
    for name, path in _inputs(folder).items():
        digest.update(f"\0{name}\0".encode())
        digest.update(path.read_bytes())
    epoch = f"SOURCE_DATE_EPOCH={EPOCH}"
    return FolderImage(NAME, folder, base, digest.hexdigest(), _DOCKERFILE, (epoch,))


def inputs(workspace: Workspace) -> dict[str, Path]:
    """The files that it is built from, by their path in what the build sees. Raises like `plan`."""
    return _inputs(_folder(workspace))


def _folder(workspace: Workspace) -> Path:
    own = workspace.images
    return own if (own / _DOCKERFILE).is_file() else resources.place("trainer_images")


def _inputs(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for pattern in INPUTS:
        found = sorted(folder.glob(pattern))
        if not found:
            raise InvalidInput(f"{folder / pattern} is missing; models are served with it.", "Restore it.")
        files |= {path.relative_to(folder).as_posix(): path for path in found}
    return files


def leftovers(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Builds of it from other inputs than today's, that no container has."""
    current = {plan(workspace, base).tag for base in images.bases(client)}
    return images.earlier(workspace, client, (NAME,), current)
