"""Images of the workspace's own: new ones, and packages that are added to them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name

from trainer import atomic_files, locks, subprocesses
from trainer.datasets.names import folded
from trainer.errors import InvalidInput
from trainer.images import lock, locked, spec
from trainer.images.spec import IMAGE_FILE, ImageSpec
from trainer.projects import sources
from trainer.scaffold import dockerfile, requirements_file
from trainer.scaffold.image_contents import Contents, LeftOut
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

FILES = (IMAGE_FILE, lock.SOURCE, lock.LOCK)
_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
# A folder beside the images, and an image that is not of trainer_images/.
_RESERVED = ("trainkit", "tracking-server")
_IMAGE_YAML = """\
# What `trainer images` says of it.
description: {description}
# Debian packages.
apt: {apt}
# Whether a run in it has all GPUs of the machine unless --gpus says otherwise.
gpu: false
{base}"""
_BASE = """\
# What it is built on: a Debian with Python 3.11 or later; without this line, base_image of trainer.yaml.
{}base_image: {}
"""
_INHERITS = """\
# The trainer image that it adds to.
inherits: {}
"""


@dataclass(frozen=True)
class NewImage:
    """What making an image comes to."""

    target: Path
    files: Mapping[str, str]
    """Their text, by name; the lock comes of them."""
    parents: tuple[Path, ...]
    """The locks of those it inherits from."""
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Addition:
    """Packages that are to be added to an image."""

    image: ImageSpec
    packages: tuple[str, ...]
    """Those that it does not ask for yet."""
    parents: tuple[Path, ...]


def contents_of(source: Path) -> Contents:
    """What a Dockerfile, or else a requirements.txt, asks for. Raises `InvalidInput`."""
    if re.search("dockerfile|containerfile", source.name, re.IGNORECASE):
        return dockerfile.read(source)
    if source.suffix in (".toml", ".yml", ".yaml", ".py", ".cfg", ".lock"):
        raise InvalidInput(
            f"{source} is neither a Dockerfile nor a requirements.txt.",
            "Specify one of these. `trainer run` takes a conda.yaml or python_env.yaml as it is.",
        )
    return Contents(source, requirements_file.read(source))


def plan(workspace: Workspace, name: str, contents: Contents, inherits: str | None) -> NewImage:
    """Check the names. Raises `InvalidInput`; makes nothing."""
    target = workspace.images / name
    _check_name(workspace, name, target)
    parent = spec.spec(workspace, inherits) if inherits else None
    if parent and contents.file and contents.base_image:
        base = f"FROM {contents.base_image}: the image inherits from {parent.name}"
        left_out = sorted([*contents.left_out, LeftOut(contents.file, contents.base_line, base)])
        contents = replace(contents, base_image=None, left_out=tuple(left_out))
    files = {IMAGE_FILE: _image_yaml(contents, parent), lock.SOURCE: _requirements(contents, parent)}
    return NewImage(target, files, _locks(workspace, parent), contents.left_out)


def make(workspace: Workspace, planned: NewImage) -> None:
    """Make the image's folder, wholly or not at all.

    Raises `ImageError` where the packages do not go together, with each other or with those of the image
    that is inherited from, or the registry cannot be reached, `InvalidInput` where somebody else made the
    folder meanwhile.
    """
    with unfinished.folder(workspace, unfinished.IMAGE) as place:
        folder = place / planned.target.name
        folder.mkdir()
        for name, text in planned.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        lock.compile_in(folder, planned.parents)
        locked.check_inherited(folder / lock.SOURCE, folder / lock.LOCK, planned.parents)
        planned.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            atomic_files.rename(folder, planned.target)
        except FileExistsError:
            raise _in_the_way(planned.target) from None


def plan_addition(workspace: Workspace, name: str, packages: Sequence[str]) -> Addition:
    """Check the names of image and packages. Raises `InvalidInput`; changes nothing."""
    image = spec.spec(workspace, name)
    if image.folder.parent != workspace.images:
        raise InvalidInput(
            f"{image.name} is an image that trainer brings: it is not changed.",
            f"Make one that adds to it: trainer images new my-{image.name} --inherit {image.name}",
        )
    for package in packages:
        if not requirements_file.package(package):
            raise InvalidInput(
                f"{package!r} is not a package of a registry.",
                "Write NAME, or NAME and a version, such as 'click>=8.1'.",
            )
    if not (image.folder / lock.SOURCE).is_file():
        raise InvalidInput(
            f"The image {image.name} has no {lock.SOURCE}, only a lock.",
            f"Specify its packages in {image.folder / lock.SOURCE}, one a line, then add to it.",
        )
    parent = spec.spec(workspace, image.inherits) if image.inherits else None
    present = (image.folder / lock.SOURCE).read_text(encoding="utf-8").splitlines()
    new = tuple(package for package in packages if package not in present)
    return Addition(image, new, _locks(workspace, parent))


def add(workspace: Workspace, addition: Addition) -> bool:
    """Add the packages, and compile the lock with the versions that are locked: whether anything changed.

    Raises `ImageError` where that cannot be; the image's files are then as they were.
    """
    image = addition.image
    source = image.folder / lock.SOURCE
    with (
        locks.exclusive(workspace.state / f"image-{image.name}.lock"),
        unfinished.folder(workspace, unfinished.IMAGE) as place,
    ):
        folder = place / image.name
        shutil.copytree(image.folder, folder)
        text = _with(source.read_text(encoding="utf-8"), addition.packages)
        (folder / lock.SOURCE).write_text(text, encoding="utf-8")
        # What it inherits cannot change; of all else its own versions stay.
        lock.compile_in(folder, (*addition.parents, image.lock))
        compiled = folder / lock.LOCK
        locked.check_inherited(folder / lock.SOURCE, compiled, addition.parents)
        fitted = image.lock.is_file() and locked.versions(image.lock) == locked.versions(compiled)
        if fitted and not addition.packages:
            return False
        with subprocesses.deferred_signals():
            atomic_files.write(image.lock, compiled.read_bytes())
            atomic_files.write(source, text.encode())
    return True


def _with(text: str, packages: Sequence[str]) -> str:
    """The lines of a requirements.in, and the packages; these take the place of lines for the same ones."""
    lines = text.splitlines()
    for package in packages:
        same = [number for number, line in enumerate(lines) if _name(line) == _name(package)]
        if same:
            lines[same[0]] = package
            lines = [line for number, line in enumerate(lines) if number not in same[1:]]
        else:
            lines.append(package)
    return "".join(f"{line}\n" for line in lines)


def _name(line: str) -> str | None:
    requirement = requirements_file.package(line.partition(" #")[0].strip())
    return canonicalize_name(requirement.name) if requirement else None


def _check_name(workspace: Workspace, name: str, target: Path) -> None:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise InvalidInput(
            f"{name!r} cannot be an image's name.",
            f"Choose another one, such as my-{name}." if name in _RESERVED
            else "Use lower-case letters, digits, and _, - or . between them.",
        )  # fmt: skip
    for image in spec.discover(workspace).values():
        if name in (image.name, *image.aliases) and image.folder.parent != workspace.images:
            raise InvalidInput(
                f"{name} is an image that trainer brings.",
                f"Choose another name: trainer images new my-{name} --inherit {name}",
            )
        if name in image.aliases:
            raise InvalidInput(f"{name} is an alias of the image {image.name}.", "Choose another name.")
    if name in sources.names(workspace):
        raise InvalidInput(f"{name} is the name of a project.", f"Choose another one, such as {name}-image.")
    for neighbour in target.parent.iterdir() if target.parent.is_dir() else ():
        if folded(neighbour.name) == folded(name):
            raise _in_the_way(neighbour)


def _in_the_way(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} exists already.", "Choose another name; nothing is overwritten.")


def _image_yaml(contents: Contents, parent: ImageSpec | None) -> str:
    base = (
        _INHERITS.format(parent.name)
        if parent
        else _BASE.format(
            "" if contents.base_image else "# ", contents.base_image or "python:3.12-slim-bookworm"
        )
    )
    return _IMAGE_YAML.format(
        description=json.dumps(f"Made from {contents.file.name}" if contents.file else ""),
        apt=yaml.safe_dump([*contents.apt], default_flow_style=True, width=10_000).strip(),
        base=base,
    )


def _requirements(contents: Contents, parent: ImageSpec | None) -> str:
    lines = [
        "# The packages of this image, one a line; `trainer images add` adds more and compiles the lock."
    ]
    names = {_name(line) for line in contents.requirements}
    if not parent and not names & {"mlflow", "mlflow-skinny"}:
        lines += ["", "# What training scripts report to the tracking server with.",
                  f"mlflow-skinny=={metadata.version('mlflow')}"]  # fmt: skip
    if contents.requirements:
        lines += ["", *contents.requirements]
    return "".join(f"{line}\n" for line in lines)


def _locks(workspace: Workspace, parent: ImageSpec | None) -> tuple[Path, ...]:
    """That of the parent first, then that of its parent."""
    found: list[Path] = []
    while parent and parent.lock not in found:
        found.append(parent.lock)
        parent = spec.spec(workspace, parent.inherits) if parent.inherits else None
    return tuple(found)
