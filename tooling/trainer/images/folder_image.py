"""An image that a folder has a Dockerfile of its own for: nothing is built on it, and no run is run in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from trainer.images.spec import BASE_LABEL, DIGEST_LABEL, PREFIX


@dataclass(frozen=True)
class FolderImage:
    """The image as it is to be: `digest` is of what it is built from, and of the base image's name."""

    name: str
    folder: Path
    """What the build sees."""
    base_image: str
    digest: str
    dockerfile: str = "Dockerfile"
    """Relative to the folder."""
    arguments: tuple[str, ...] = ()
    """Of the build, NAME=VALUE, besides BASE_IMAGE."""
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

    def build_command(self, *, no_cache: bool = False, tags: tuple[str, ...] = ()) -> list[str]:
        """The BuildKit build; `no_cache` without what is cached of it, `tags` instead of its own."""
        return [
            "docker", "buildx", "build", "--progress=plain", "--load",
            *(["--no-cache"] if no_cache else []),
            f"--file={self.folder / self.dockerfile}",
            f"--build-arg=BASE_IMAGE={self.base_image}",
            *(f"--build-arg={argument}" for argument in self.arguments),
            f"--label={DIGEST_LABEL}={self.digest}",
            f"--label={BASE_LABEL}={self.base_image}",
            *(f"--tag={tag}" for tag in tags or self.tags),
            str(self.folder),
        ]  # fmt: skip
