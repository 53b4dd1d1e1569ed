"""Pinning the base of an image: its name in image.yaml gets the digest that the registry has for it today."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from trainer import atomic_files
from trainer.engine import daemon
from trainer.errors import ImageError, InvalidInput
from trainer.images import build
from trainer.images.spec import IMAGE_FILE, ImageSpec
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_KEY = "base_image"


@dataclass(frozen=True)
class Pin:
    """An image's base before and after: `NAME:TAG`, and `NAME:TAG@sha256:…`."""

    image: str
    file: Path
    old: str
    new: str
    text: str
    """What the file is to hold."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return self.text != self.file.read_text(encoding="utf-8")


def plan(workspace: Workspace, client: docker.DockerClient, image: ImageSpec, base: str | None) -> Pin:
    """Ask the registry, through the engine, and say what to write; nothing is written.

    `base` is to be pinned, else what the image's own image.yaml or trainer.yaml says: $TRAINER_BASE_IMAGE is
    of this machine alone. The digest is that of the list of platforms, where there is one. Raises
    `InvalidInput` where there is no base to pin, `ImageError` where no registry tells its digest.
    """
    if image.inherits:
        raise InvalidInput(
            f"The image {image.name} inherits from {image.inherits}, and has no base of its own.",
            f"trainer build-image {image.inherits} --pin-base",
        )
    old = base or image.base_image or workspace.settings.base_image
    name = _with_tag(old)
    new = f"{name}@{_digest(client, name)}"
    file = image.folder / IMAGE_FILE
    return Pin(image.name, file, old, new, with_base(file, new))


def write(pin: Pin) -> None:
    """Put it into image.yaml, whole or not at all."""
    if pin.changes:
        atomic_files.write(pin.file, pin.text.encode())


def with_base(file: Path, base: str) -> str:
    """The text of an image.yaml with that base, and all else, comments too, as it was.

    Raises `InvalidInput`.
    """
    text = file.read_text(encoding="utf-8")
    expected = {**(yaml.safe_load(text) or {}), _KEY: base}
    changed = _changed(text, base)
    with contextlib.suppress(yaml.YAMLError):
        if changed is not None and yaml.safe_load(changed) == expected:
            return changed
    raise InvalidInput(f"{file} is in a form that cannot be edited automatically.", f"Write: {_KEY}: {base}")


def _changed(text: str, base: str) -> str | None:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{_KEY}: {base}\n"
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.value == _KEY:
            space = "" if value.value else " "  # `base_image:` and nothing behind it
            return f"{text[: value.start_mark.index]}{space}{base}{text[value.end_mark.index :]}"
    start = node.start_mark.index
    if node.flow_style:
        comma = ", " if node.value else ""
        return f"{text[: start + 1]}{_KEY}: {base}{comma}{text[start + 1 :]}"
    return f"{text[:start]}{_KEY}: {base}\n{text[start:]}"


def _with_tag(name: str) -> str:
    """Without a digest; with the tag that no tag means. A port of the registry is no tag."""
    bare, _, digest = name.partition("@")
    if ":" in bare.rpartition("/")[2]:
        return bare
    if digest:
        raise InvalidInput(
            f"{name} has no tag, so its current digest cannot be looked up.",
            "Specify a tag: --base-image NAME:TAG",
        )
    return f"{bare}:latest"


def _digest(client: docker.DockerClient, name: str) -> str:
    from docker.errors import APIError

    with daemon.failures():
        try:
            return str(client.api.inspect_distribution(name)["Descriptor"]["digest"])
        except APIError as error:
            refused = error.status_code in (401, 403, 404)
            reason = error.explanation or str(error)
    if build.image_id(client, name) and not build.origin(client, name).digest_as(name):
        raise ImageError(
            f"{name} was built on this machine; it is not known to be in a registry.",
            "Push it to a registry and use its name there, or pin another: --base-image IMAGE",
        )
    if refused:
        raise ImageError(
            f"The registry has no {name}, or does not show it: {reason}",
            "Look at the name and the tag; docker login if it is a private one.",
        )
    raise ImageError(
        f"The registry of {name} does not answer: {reason}",
        "Pin it on a machine that reaches the registry, and commit the image.yaml.",
    )
