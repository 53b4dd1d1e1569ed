"""Which image a run has: a trainer image, an external one, or one built from an environment file."""

from __future__ import annotations

import logging
import re

from trainer import image_reference
from trainer.errors import InvalidInput
from trainer.images import project_env, spec, trainer_image
from trainer.images.external import ExternalImage
from trainer.images.image import RunImage
from trainer.images.spec import PREFIX
from trainer.plan import consent
from trainer.projects.mlproject import Project
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)
# For a project that says nothing of what it needs. MLflow would take the Python that it runs with.
DEFAULT = "sklearn"
_OURS = re.compile(r"[^/:]+:[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def choose(workspace: Workspace, project: Project, requested: str | None, base_image: str | None) -> RunImage:
    """The image that was `requested`, else the project's own.

    Raises `InvalidInput` where there is none.
    """
    image = _choose(workspace, project, requested, base_image)
    why = (
        "asked for"
        if requested
        else "the default"
        if declares_no_environment(project)
        else f"named by {project.name}"
    )
    _LOG.info("Image: %s, %s", image.tag, why)
    return image


def _choose(
    workspace: Workspace, project: Project, requested: str | None, base_image: str | None
) -> RunImage:
    if requested is not None and not (_is_ours(workspace, requested) or "/" in requested or ":" in requested):
        spec.spec(workspace, requested)  # which says what it may have meant
    file = project.python_env or project.conda_env
    if file and not requested:
        location = consent.ProjectLocation(workspace, project.folder)
        if not location.is_own and not location.has(file.resolve()):
            raise InvalidInput(
                f"{project.name} is built from {file}, which is outside of the project.",
                "Copy that file into the project, or run in an image that you have: --image IMAGE",
            )
        is_conda = project.python_env is None
        return project_env.plan(workspace, project, file, base_image, is_conda=is_conda)
    image_name = requested or project.image or DEFAULT
    if _is_ours(workspace, image_name):
        return trainer_image.plan(workspace, spec.spec(workspace, image_name), base_image)
    if declares_no_environment(project) and not requested:
        raise InvalidInput(
            f"{project.name} names no environment, and there is no image {DEFAULT} to run it in.",
            "Specify an image: --image NAME",
        )
    return ExternalImage(
        image_reference.check(image_name, "--image" if requested else f"{project.name}: docker_env.image")
    )


def declares_no_environment(project: Project) -> bool:
    """Whether the project leaves open what it runs in."""
    return project.image is None and project.python_env is None and project.conda_env is None


def recorded(workspace: Workspace, tag: str, digest: str, requirements_digest: str) -> RunImage:
    """The image of an earlier run, which is not to be built or pulled.

    Raises `InvalidInput` where what was recorded cannot be one: a server says it, and files are named after
    it.
    """
    if not tag.startswith(PREFIX):
        return ExternalImage(tag)
    if not _OURS.fullmatch(tag.removeprefix(PREFIX)) or not _DIGEST.fullmatch(digest):
        raise InvalidInput(
            f"The run recorded the image {tag!r} with the digest {digest!r}, which cannot be.",
            "What its server says of it was changed. Start a new run: trainer run PROJECT",
        )
    if tag.startswith(PREFIX + project_env.NAME_PREFIX):
        return project_env.recorded(tag, digest, requirements_digest)
    return trainer_image.recorded(workspace, tag, digest, requirements_digest)


def _is_ours(workspace: Workspace, name: str) -> bool:
    specs = spec.discover(workspace).values()
    names = {name for image in specs for name in (image.name, *image.aliases)}
    return name.startswith(PREFIX) or name.removesuffix(":latest") in names
