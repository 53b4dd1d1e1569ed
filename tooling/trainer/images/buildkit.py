"""A build by `docker buildx`: its steps are told, its output goes to a file, its failure is explained."""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from trainer import subprocesses, urls
from trainer.errors import EngineError, ImageError
from trainer.images import build_failure
from trainer.images.build_steps import BuildSteps
from trainer.progress import Steps

_LOG = logging.getLogger(__name__)


class Buildable(Protocol):
    """What can be built: its tag names its content, and its parent is built first."""

    @property
    def name(self) -> str:
        """For messages, and for the file with the build's output."""

    @property
    def tag(self) -> str:
        """One for each content."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All that it bears."""

    @property
    def base_image(self) -> str:
        """What it is built on."""

    @property
    def root_base(self) -> str:
        """What the first of its parents is built on."""

    @property
    def parent(self) -> Buildable | None:
        """The image it is built on, if that is ours too."""

    def build_command(self, *, no_cache: bool = False, tags: tuple[str, ...] = ()) -> list[str]:
        """The call of BuildKit; `tags` are given instead of the image's own."""

    def build_context(self) -> AbstractContextManager[None]:
        """Within: all that the build sees lies where its command looks."""


def buildx_version() -> str:
    """The version of buildx; raises `EngineError` with the way to get it."""
    if shutil.which("docker") is None:
        raise EngineError(
            "The program docker is not installed; images are built with `docker buildx`.",
            "Install the Docker CLI with its buildx plug-in (packages docker-cli and docker-buildx).",
        )
    version = subprocesses.capture(["docker", "buildx", "version"])
    if version is None:
        raise EngineError(
            "docker has no buildx, which the images are built with.",
            "Install it: apt-get install docker-buildx-plugin (in Debian's own packages: docker-buildx).",
        )
    return version.strip()


def run(image: Buildable, command: list[str], log: Path, steps: Steps, title: str = "") -> None:
    """Run one build; all that it prints goes to the file `log`. Raises `ImageError` with the cause."""
    log.parent.mkdir(parents=True, exist_ok=True)
    steps.step(title or f"Building the image {image.name}")
    at = BuildSteps()
    try:
        with log.open("w", encoding="utf-8") as written, image.build_context():
            for line in subprocesses.lines(command):
                written.write(line + "\n")
                _LOG.debug("%s", line)
                steps.detail(line)
                if part := at.feed(line):
                    steps.part(part)
    except subprocess.CalledProcessError:
        # A builder in a container of its own has none of the engine's images, and pulls by itself.
        output = log.read_text(encoding="utf-8")
        if f"failed to solve: {image.base_image}: " in output:
            raise no_base(image) from None
        lines = output.splitlines()
        steps.remark(
            "\n".join(map(urls.without_password, [f"The end of {near(log)}:", *build_failure.end(lines)]))
        )
        failure = build_failure.explained(lines)
        raise ImageError(
            f"The build of {image.name} failed: {failure.cause}", f"{failure.advice}See {log}"
        ) from None


def near(path: Path) -> str:
    """The path from the current folder, if it is below that."""
    with contextlib.suppress(ValueError, OSError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def no_base(image: Buildable) -> ImageError:
    """The base of the image is nowhere to be had."""
    return ImageError(
        f"The base image {image.base_image} is not available locally and cannot be pulled.",
        "Specify one that is: --base-image IMAGE, TRAINER_BASE_IMAGE, or base_image in trainer.yaml.",
    )
