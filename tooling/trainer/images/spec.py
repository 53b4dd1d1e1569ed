"""What is declared under trainer_images/: a folder with an image.yaml for each image.

A workspace has those that trainer brings, and its own; an own one of the same name is taken instead.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from trainer import image_reference, yaml_file
from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.workspace import resources
from trainer.workspace.settings import Workspace

PREFIX = "trainer/"
DIGEST_LABEL = "trainer.input_digest"
BASE_LABEL = "trainer.base_image"
BASE_ID_LABEL = "trainer.base_image_id"
BASE_DIGEST_LABEL = "trainer.base_image_digest"
IMAGE_FILE = "image.yaml"
_KEYS = {
    "description": str,
    "aliases": list,
    "base_image": str,
    "inherits": str,
    "apt": list,
    "gpu": bool,
}


@dataclass(frozen=True)
class ImageSpec:
    """What trainer_images/NAME/image.yaml says."""

    name: str
    folder: Path
    description: str = ""
    aliases: tuple[str, ...] = ()
    base_image: str | None = None
    inherits: str | None = None
    apt: tuple[str, ...] = ()
    gpu: bool = False
    """Whether runs in it ask for every GPU of the machine unless they are told otherwise."""

    @property
    def lock(self) -> Path:
        """The hashed requirements file that the image is installed from."""
        return self.folder / "requirements.txt"


def shared(workspace: Workspace) -> Path:
    """The folder of what every image is built with: the workspace's own if it has any of that, else ours."""
    own = workspace.images
    is_own = any((own / name).exists() for name in ("Dockerfile", "layer.sh", "uv.txt", "trainkit"))
    return own if is_own else resources.place("trainer_images")


def discover(workspace: Workspace) -> dict[str, ImageSpec]:
    """Name → image, for every */image.yaml of `shared` and of the workspace, whose own come first.

    Raises `InvalidInput` for an invalid one.
    """
    folders = (shared(workspace), workspace.images)
    files = {path.parent.name: path for folder in folders for path in folder.glob(f"*/{IMAGE_FILE}")}
    specs = {name: _read(path) for name, path in sorted(files.items())}
    taken = dict.fromkeys(specs, "an image's name")
    for name, image in specs.items():
        for alias in image.aliases:
            if alias in taken:
                raise InvalidInput(
                    f"{image.folder / IMAGE_FILE}: the alias {alias} is {taken[alias]} already.",
                    "Choose another one.",
                )
            taken[alias] = f"an alias of {name}"
    return specs


def spec(workspace: Workspace, name: str) -> ImageSpec:
    """The image of that name or alias, also as `trainer/NAME`.

    Raises `InvalidInput` with the nearest name.
    """
    specs = discover(workspace)
    image_name = name.removeprefix(PREFIX).removesuffix(":latest")
    named = specs | {alias: image for image in specs.values() for alias in image.aliases}
    if image_name not in named:
        file = workspace.images / image_name / IMAGE_FILE
        if image_name and file.parent.is_dir():
            raise InvalidInput(
                f"{file.parent} has no {IMAGE_FILE}: it is not an image yet.",
                f"Write one, which may be empty: touch {shlex.quote(str(file))}",
            )
        raise InvalidInput(
            f"There is no trainer image {name}.",
            nearest(image_name, named, "The images are")
            if named
            else f"Make the folder {workspace.images / image_name} with {IMAGE_FILE} and requirements.txt.",
        )
    return named[image_name]


def chosen_base(workspace: Workspace, base_image: str | None = None, own: str | None = None) -> str:
    """What to build on: `base_image`, else $TRAINER_BASE_IMAGE, else the image's own, else trainer.yaml's."""
    if base_image is not None:
        return image_reference.check(base_image, "--base-image")
    if ours := os.environ.get("TRAINER_BASE_IMAGE"):
        return image_reference.check(ours, "TRAINER_BASE_IMAGE")
    return own or workspace.settings.base_image


def _read(path: Path) -> ImageSpec:
    document = yaml_file.read(path) or {}
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} does not describe an image.", "Write one `name: value` a line.")
    for key, value in document.items():
        if key not in _KEYS:
            raise InvalidInput(f"{path} has an unknown key: {key}", nearest(str(key), _KEYS, "The keys are"))
        if value is not None and not isinstance(value, _KEYS[key]):
            raise InvalidInput(f"{path}: {key} is {value!r}.", f"Use a {_KEYS[key].__name__}.")
    if base := document.get("base_image"):
        image_reference.check(base, f"{path}: base_image")
    return ImageSpec(
        name=path.parent.name,
        folder=path.parent,
        description=document.get("description") or "",
        aliases=tuple(map(str, document.get("aliases") or ())),
        base_image=base,
        inherits=document.get("inherits"),
        apt=tuple(map(str, document.get("apt") or ())),
        gpu=bool(document.get("gpu")),
    )
