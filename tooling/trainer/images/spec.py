"""Trainer images: what is declared under trainer_images/, and what identifies each of them.

A workspace has those that trainer brings, and its own; an own one of the same name is taken instead.

An image is a pure function of the shared Dockerfile, its own lock file, its image.yaml, trainkit and the
base image's name. The digest of these is its identity: it is the image's tag and a label of it, so
"up to date" is one look-up of a tag.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer import image_reference, yaml_file
from trainer.errors import BadInput
from trainer.images import lock as image_lock
from trainer.projects.parameters import nearest
from trainer.workspace import resources
from trainer.workspace.settings import Workspace

PREFIX = "trainer/"
DIGEST_LABEL = "trainer.input_digest"
BASE_LABEL = "trainer.base_image"
BASE_ID_LABEL = "trainer.base_image_id"
BASE_DIGEST_LABEL = "trainer.base_image_digest"
IMAGE_FILE = "image.yaml"
# Of a run: what its image was built from.
ARTIFACT = "trainer/image.tar.gz"
_OF_TRAINKIT = ("trainkit/*.py", "trainkit/py.typed", "site/*.pth")
_EPOCH = 315532800  # when an image says that it was made: always 1980, before which an archive has no times
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


@dataclass(frozen=True)
class ImagePlan:
    """An image that is to be there. `parent` is to be there before it."""

    spec: ImageSpec
    base_image: str
    digest: str
    requirements_digest: str
    parent: ImagePlan | None = None
    context: Path | None = None
    """Where `gather` puts what the build sees; None where all of that lies beside the image's folder."""
    inputs: Mapping[str, Path] = field(default_factory=dict, hash=False)
    """The files that the build sees, by the names that it knows them as; none where it cannot be built."""
    is_recorded: bool = False
    """Of an earlier run: when it is built anew, it does not become the `latest`."""

    has_trainkit = True
    has_cache = True
    remarks = ()

    @property
    def name(self) -> str:
        """The image's name, as in `trainer build-image NAME`."""
        return self.spec.name

    @property
    def tag(self) -> str:
        """`trainer/sklearn:0123456789ab`: one tag per digest, so it never names another image."""
        return f"{PREFIX}{self.spec.name}:{self.digest[:12]}"

    @property
    def latest(self) -> str:
        """The tag that a bare `trainer/NAME` means to Docker and to MLflow."""
        return f"{PREFIX}{self.spec.name}:latest"

    @property
    def tags(self) -> tuple[str, ...]:
        """All that it bears when it is built."""
        return (self.tag,) if self.is_recorded else (self.tag, self.latest)

    def as_recorded(self) -> ImagePlan:
        """The same image and its parents, as those of an earlier run."""
        return replace(self, is_recorded=True, parent=self.parent and self.parent.as_recorded())

    @property
    def root_base(self) -> str:
        """The base of the first image of its line."""
        return next(self.line()).base_image

    def line(self) -> Iterator[ImagePlan]:
        """The image after those it inherits from: the order of building."""
        if self.parent:
            yield from self.parent.line()
        yield self

    @property
    def has_cuda(self) -> bool:
        """Whether a lock of it pins the CUDA runtime, or its image.yaml says that it is for GPUs."""
        return any(
            image.spec.gpu or "\nnvidia-cuda-runtime" in image.spec.lock.read_text(encoding="utf-8")
            for image in self.line()
        )

    def build_command(self, *, anew: bool = False, tags: tuple[str, ...] = ()) -> list[str]:
        """The BuildKit build of this image, without its parents; `anew` without what is cached of it.

        `tags` are given instead of the image's own. `--load`: with a builder that runs in a container the
        result would otherwise stay in its cache.
        """
        return [
            "docker",
            "buildx",
            "build",
            "--progress=plain",
            "--load",
            *(["--no-cache"] if anew else []),
            f"--build-arg=BASE_IMAGE={self.base_image}",
            f"--build-arg=IMAGE={self.spec.name}",
            f"--build-arg=APT={' '.join(self.spec.apt)}",
            f"--build-arg=SOURCE_DATE_EPOCH={_EPOCH}",
            f"--label={DIGEST_LABEL}={self.digest}",
            f"--label=trainer.requirements_digest={self.requirements_digest}",
            f"--label={BASE_LABEL}={self.base_image}",
            *(f"--tag={tag}" for tag in tags or self.tags),
            str(self.context or self.spec.folder.parent),
        ]


def shared(workspace: Workspace) -> Path:
    """The folder of what every image is built with: the workspace's own if it has any of that, else ours."""
    own = workspace.images
    is_own = any((own / name).exists() for name in ("Dockerfile", "uv.txt", "trainkit"))
    return own if is_own else resources.place("trainer_images")


def discover(workspace: Workspace) -> dict[str, ImageSpec]:
    """Name → image, for every */image.yaml of `shared` and of the workspace, whose own come first.

    Raises `BadInput` for one not understood.
    """
    places = (shared(workspace), workspace.images)
    files = {path.parent.name: path for place in places for path in place.glob(f"*/{IMAGE_FILE}")}
    found = {name: _read(path) for name, path in sorted(files.items())}
    taken = dict.fromkeys(found, "an image's name")
    for name, image in found.items():
        for alias in image.aliases:
            if alias in taken:
                raise BadInput(
                    f"{image.folder / IMAGE_FILE}: the alias {alias} is {taken[alias]} already.",
                    "Choose another one.",
                )
            taken[alias] = f"an alias of {name}"
    return found


def spec(workspace: Workspace, name: str) -> ImageSpec:
    """The image of that name or alias, also as `trainer/NAME`; raises `BadInput` with the nearest name."""
    found = discover(workspace)
    wanted = name.removeprefix(PREFIX).removesuffix(":latest")
    named = found | {alias: image for image in found.values() for alias in image.aliases}
    if wanted not in named:
        file = workspace.images / wanted / IMAGE_FILE
        if wanted and file.parent.is_dir():
            raise BadInput(
                f"{file.parent} has no {IMAGE_FILE}: it is not an image yet.",
                f"Write one, which may be empty: touch {shlex.quote(str(file))}",
            )
        raise BadInput(
            f"There is no trainer image {name}.",
            nearest(wanted, named, "The images are")
            if named
            else f"Make the folder {workspace.images / wanted} with {IMAGE_FILE} and requirements.txt.",
        )
    return named[wanted]


def plan(
    workspace: Workspace, image: ImageSpec, base_image: str | None = None, heirs: tuple[str, ...] = ()
) -> ImagePlan:
    """What building the image comes to; `heirs` are the images that inherit from it.

    Raises `BadInput` for a file that is missing, and for images that inherit in a circle.
    """
    if image.name in heirs:
        circle = " → ".join([*heirs, image.name])
        raise BadInput(f"Images inherit in a circle: {circle}.", f"Fix one of their {IMAGE_FILE} files.")
    parent = None
    if image.inherits:
        parent = plan(workspace, spec(workspace, image.inherits), base_image, (*heirs, image.name))
    base = parent.tag if parent else chosen_base(workspace, base_image, image.base_image)
    identity = hashlib.sha256(repr((image.name, base, image.apt)).encode())
    inputs = dict(_inputs(workspace, image))
    for name, path in inputs.items():
        identity.update(f"\0{name}\0".encode())
        identity.update(path.read_bytes())
    digest = identity.hexdigest()
    requirements = hashlib.sha256(image.lock.read_bytes()).hexdigest()
    is_together = image.folder.parent == shared(workspace)
    context = None if is_together else workspace.state / f"context-{image.name}-{digest[:12]}"
    return ImagePlan(image, base, digest, requirements, parent, context, inputs)


def gather(image: ImagePlan, context: Path) -> None:
    """Copy what the build sees to `context`: engines up to 20.10 know no named contexts."""
    for name, path in image.inputs.items():
        place = context / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def packed(workspace: Workspace, image: ImagePlan) -> Path:
    """An archive (tar.gz) of a folder of images with all that this one is built from; made once a digest."""
    place = _archive(workspace, image)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f"{place.name}.{os.getpid()}")
        files: dict[str, Path] = {}
        for one in image.line():
            files |= {**one.inputs, f"{one.name}/{IMAGE_FILE}": one.spec.folder / IMAGE_FILE}
        with tarfile.open(unfinished, "w:gz") as tar:
            for name, path in files.items():
                tar.add(path, name)
        unfinished.replace(place)
    return place


def was_packed(workspace: Workspace, image: ImagePlan) -> bool:
    """Whether a run of this workspace had the image."""
    return _archive(workspace, image).exists()


def _archive(workspace: Workspace, image: ImagePlan) -> Path:
    return workspace.state / "images" / f"{image.digest}.tar.gz"


def chosen_base(workspace: Workspace, base_image: str | None = None, own: str | None = None) -> str:
    """What to build on: `base_image`, else $TRAINER_BASE_IMAGE, else the image's own, else trainer.yaml's."""
    if base_image is not None:
        return image_reference.check(base_image, "--base-image")
    if ours := os.environ.get("TRAINER_BASE_IMAGE"):
        return image_reference.check(ours, "TRAINER_BASE_IMAGE")
    return own or workspace.settings.base_image


def recorded(workspace: Workspace, tag: str, digest: str, requirements_digest: str) -> ImagePlan:
    """The image of an earlier run, which is not to be built; the workspace may have another of that name."""
    name = tag.removeprefix(PREFIX).partition(":")[0]
    known = discover(workspace).get(name) or ImageSpec(name, workspace.images / name, gpu=True)
    return ImagePlan(known, "", digest, requirements_digest)


def _inputs(workspace: Workspace, image: ImageSpec) -> Iterator[tuple[str, Path]]:
    """Every file that the build sees, and what it knows it as; also in trainer_images/.dockerignore."""
    image_lock.check(image.name, image.lock)
    yield f"{image.name}/{image.lock.name}", image.lock
    root = shared(workspace)
    for path in (root / "Dockerfile", root / "uv.txt", root / "trainkit" / "pyproject.toml"):
        if not path.is_file():
            raise BadInput(f"{path} is missing; every image is built with it.", "Restore it.")
        yield path.relative_to(root).as_posix(), path
    trainkit = root / "trainkit"
    for path in sorted(path for kind in _OF_TRAINKIT for path in trainkit.glob(kind)):
        yield path.relative_to(root).as_posix(), path


def _read(path: Path) -> ImageSpec:
    said = yaml_file.read(path) or {}
    if not isinstance(said, dict):
        raise BadInput(f"{path} does not describe an image.", "Write one `name: value` a line.")
    for key, value in said.items():
        if key not in _KEYS:
            raise BadInput(f"{path} has an unknown key: {key}", nearest(str(key), _KEYS, "The keys are"))
        if value is not None and not isinstance(value, _KEYS[key]):
            raise BadInput(f"{path}: {key} is {value!r}.", f"Use a {_KEYS[key].__name__}.")
    if base := said.get("base_image"):
        image_reference.check(base, f"{path}: base_image")
    return ImageSpec(
        name=path.parent.name,
        folder=path.parent,
        description=said.get("description") or "",
        aliases=tuple(map(str, said.get("aliases") or ())),
        base_image=base,
        inherits=said.get("inherits"),
        apt=tuple(map(str, said.get("apt") or ())),
        gpu=bool(said.get("gpu")),
    )
