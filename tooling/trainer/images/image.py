"""What a run needs to know of its image, of every kind of image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trainer.progress import Steps
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker


class RunImage(Protocol):
    """An image that a run is run in. What is not known of it is empty."""

    @property
    def name(self) -> str:
        """For messages, and for files that are named after it."""

    @property
    def tag(self) -> str:
        """What the engine knows it by."""

    @property
    def digest(self) -> str:
        """Of all that it is built from."""

    @property
    def requirements_digest(self) -> str:
        """Of the packages that it pins."""

    @property
    def base_image(self) -> str:
        """What it is built on."""

    @property
    def root_base(self) -> str:
        """The base of the first image of its line, if it inherits from others of ours."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of it."""

    @property
    def has_trainkit(self) -> bool:
        """Whether scripts in it can import trainkit."""

    @property
    def has_cache(self) -> bool:
        """Whether it has a folder for the volume of the cache."""

    @property
    def has_cuda(self) -> bool:
        """Whether it may have the CUDA runtime: False only where it certainly has not."""

    @property
    def has_entrypoint(self) -> bool:
        """Whether its own ENTRYPOINT and WORKDIR count, as in `docker run`."""

    @property
    def has_environment(self) -> bool:
        """Whether a virtual environment can be made of what it is built from."""

    @property
    def wants_gpus(self) -> bool:
        """Whether runs in it get every GPU of the machine unless they are told otherwise."""

    @property
    def is_of_project(self) -> bool:
        """Whether it is built from the project's own environment file."""

    @property
    def can_be_built(self) -> bool:
        """Whether all that it is built from is here."""

    def is_known(self, workspace: Workspace) -> bool:
        """Whether nothing that was stored with a run is new to the workspace in what it is built from."""

    def packed(self, workspace: Workspace) -> Path | None:
        """The archive of what it is built from, for its runs; None where it has none of its own."""

    def ensure(self, workspace: Workspace, client: docker.DockerClient, steps: Steps) -> str:
        """Have the image; the engine's id of it. Raises `ImageError` with the cause,
        `EngineError` where it takes a build and BuildKit is missing.
        """

    def environment(self, folder: Path, source: Path, uv: str) -> list[list[str]]:
        """The commands that make a virtual environment at `folder` with the program `uv`.

        What they read is written to the empty folder `source`. Only where it `has_environment`.
        """
