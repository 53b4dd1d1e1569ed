"""The image that models are served in, built from trainer_images/serve/."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import InvalidInput
from trainer.images import leftovers as images
from trainer.images import lock, spec
from trainer.images.spec import BASE_LABEL, DIGEST_LABEL, PREFIX
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
    f"{NAME}/model_server/**/*.py", "trainkit/trainkit/**/*.py",
)  # fmt: skip


@dataclass(frozen=True)
class ServeImage:
    """The image as it is to be: the tag is the digest of what it is built from."""

    folder: Path
    """What the build sees: trainer_images/."""
    base_image: str
    digest: str
    name: str = NAME
    parent: None = None

    @property
    def tag(self) -> str:
        """`trainer/serve:0123456789ab`."""
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
            f"--file={self.folder / _DOCKERFILE}",
            f"--build-arg=BASE_IMAGE={self.base_image}",
            f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}",
            f"--label={DIGEST_LABEL}={self.digest}",
            f"--label={BASE_LABEL}={self.base_image}",
            f"--tag={self.tag}",
            str(self.folder),
        ]  # fmt: skip


def plan(workspace: Workspace, base_image: str | None = None) -> ServeImage:
    """What building it comes to: of the workspace's own files, where it has such, else of trainer's.

    Raises `InvalidInput` where a file is missing.
    """
    own = workspace.images
    folder = own if (own / _DOCKERFILE).is_file() else resources.place("trainer_images")
    base = spec.chosen_base(workspace, base_image)
    digest = hashlib.sha256(f"{NAME}\0{base}".encode())
    for pattern in INPUTS:
        found = sorted(folder.glob(pattern))
        if not found:
            raise InvalidInput(f"{folder / pattern} is missing; models are served with it.", "Restore it.")
        for path in found:
            digest.update(f"\0{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return ServeImage(folder, base, digest.hexdigest())


def leftovers(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Builds of it from other inputs than today's, that no container has."""
    current = {plan(workspace, base).tag for base in images.bases(client)}
    return images.earlier(workspace, client, (NAME,), current)
