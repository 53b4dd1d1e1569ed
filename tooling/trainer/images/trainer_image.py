"""An image of trainer_images/: what it is built from, and what identifies it.

An image is a pure function of the shared Dockerfile and the script that it calls, its own lock file, its
image.yaml, trainkit and the base image's name. The digest of these is its identity: it is the image's tag and
a label of it, so "up to date" is one look-up of a tag.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import InvalidInput
from trainer.images import build, spec
from trainer.images import lock as image_lock
from trainer.images.spec import BASE_LABEL, DIGEST_LABEL, IMAGE_FILE, PREFIX, ImageSpec
from trainer.progress import Steps
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

# Of a run: what its image was built from.
ARTIFACT = "trainer/image.tar.gz"
_OF_TRAINKIT = ("trainkit/*.py", "trainkit/*/*.py", "trainkit/*/*/*.py", "trainkit/py.typed", "site/*.pth")
EPOCH = 315532800  # when an image says that it was made: always 1980, before which an archive has no times


@dataclass(frozen=True)
class TrainerImage:
    """An image that is to be there. `parent` is to be there before it."""

    spec: ImageSpec
    base_image: str
    digest: str
    requirements_digest: str
    parent: TrainerImage | None = None
    context: Path | None = None
    """Where what the build sees is gathered; None where all of that lies beside the image's folder."""
    inputs: Mapping[str, Path] = field(default_factory=dict, hash=False)
    """The files that the build sees, by the names that it knows them as; none where it cannot be built."""
    is_recorded: bool = False
    """Of an earlier run: when it is rebuilt, it does not become the `latest`."""

    has_trainkit = True
    has_cache = True
    has_entrypoint = False
    has_environment = True
    is_of_project = False
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

    def as_recorded(self) -> TrainerImage:
        """The same image and its parents, as those of an earlier run."""
        return replace(self, is_recorded=True, parent=self.parent and self.parent.as_recorded())

    @property
    def root_base(self) -> str:
        """The base of the first image of its line."""
        return next(self.line()).base_image

    def line(self) -> Iterator[TrainerImage]:
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

    @property
    def wants_gpus(self) -> bool:
        """As its image.yaml says."""
        return self.spec.gpu

    @property
    def can_be_built(self) -> bool:
        """Not where it is known from a run's record alone."""
        return bool(self.inputs)

    def is_known(self, workspace: Workspace) -> bool:
        """Its files byte for byte, and those of its parents: the workspace has them, or a run of it had."""
        if not self.inputs:
            return True
        own: set[str] = set()
        with contextlib.suppress(InvalidInput):  # it has no image of that name
            own = {image.digest for image in plan(workspace, spec.spec(workspace, self.name)).line()}
        return all(image.digest in own or _archive(workspace, image).exists() for image in self.line())

    def packed(self, workspace: Workspace) -> Path | None:
        """A folder of images with all that this one is built from, as a tar.gz; made once a digest."""
        if not self.inputs:
            return None
        archive = _archive(workspace, self)
        if not archive.exists():
            archive.parent.mkdir(parents=True, exist_ok=True)
            unfinished = archive.with_name(f"{archive.name}.{os.getpid()}")
            files: dict[str, Path] = {}
            for image in self.line():
                files |= {**image.inputs, f"{image.name}/{IMAGE_FILE}": image.spec.folder / IMAGE_FILE}
            with tarfile.open(unfinished, "w:gz") as tar:
                for name, path in files.items():
                    tar.add(path, name)
            unfinished.replace(archive)
        return archive

    def ensure(self, workspace: Workspace, client: docker.DockerClient, steps: Steps) -> str:
        """Build it, and before it its parents, unless it is there."""
        return build.ensure(workspace, client, self, steps)[0]

    def environment(self, folder: Path, source: Path, uv: str) -> list[list[str]]:  # noqa: ARG002 (all is here)
        """From its lock, with trainkit."""
        install = [uv, "pip", "install", "--python", str(folder / "bin" / "python"), "--compile-bytecode"]
        return [
            [uv, "venv", "--python", sys.executable, str(folder)],
            [*install, "--require-hashes", "-r", str(self.spec.lock)],
            [*install, "--no-deps", str(self.inputs["trainkit/pyproject.toml"].parent)],
        ]

    @contextmanager
    def build_context(self) -> Iterator[None]:
        """Within: what does not lie beside the image's folder lies in `context`."""
        if self.context is None:
            yield
            return
        try:
            for name, path in self.inputs.items():
                target = self.context / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)  # engines up to 20.10 know no named contexts
            yield
        finally:
            shutil.rmtree(self.context, ignore_errors=True)

    def build_command(self, *, no_cache: bool = False, tags: tuple[str, ...] = ()) -> list[str]:
        """The BuildKit build of this image, without its parents; `no_cache` without what is cached of it.

        `tags` are given instead of the image's own. `--load`: with a builder that runs in a container the
        result would otherwise stay in its cache.
        """
        return [
            "docker",
            "buildx",
            "build",
            "--progress=plain",
            "--load",
            *(["--no-cache"] if no_cache else []),
            f"--build-arg=BASE_IMAGE={self.base_image}",
            f"--build-arg=IMAGE={self.spec.name}",
            f"--build-arg=APT={' '.join(self.spec.apt)}",
            f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}",
            f"--label={DIGEST_LABEL}={self.digest}",
            f"--label=trainer.requirements_digest={self.requirements_digest}",
            f"--label={BASE_LABEL}={self.base_image}",
            *(f"--tag={tag}" for tag in tags or self.tags),
            str(self.context or self.spec.folder.parent),
        ]


def plan(
    workspace: Workspace, image: ImageSpec, base_image: str | None = None, heirs: tuple[str, ...] = ()
) -> TrainerImage:
    """What building the image comes to; `heirs` are the images that inherit from it.

    Raises `InvalidInput` for a file that is missing, and for images that inherit in a circle.
    """
    if image.name in heirs:
        circle = " → ".join([*heirs, image.name])
        raise InvalidInput(f"Images inherit in a circle: {circle}.", f"Fix one of their {IMAGE_FILE} files.")
    parent = None
    if image.inherits:
        parent = plan(workspace, spec.spec(workspace, image.inherits), base_image, (*heirs, image.name))
    base = parent.tag if parent else spec.chosen_base(workspace, base_image, image.base_image)
    identity = hashlib.sha256(repr((image.name, base, image.apt)).encode())
    inputs = dict(_inputs(workspace, image))
    for name, path in inputs.items():
        identity.update(f"\0{name}\0".encode())
        identity.update(path.read_bytes())
    digest = identity.hexdigest()
    requirements = hashlib.sha256(image.lock.read_bytes()).hexdigest()
    is_together = image.folder.parent == spec.shared(workspace)
    context = None if is_together else workspace.state / f"context-{image.name}-{digest[:12]}"
    return TrainerImage(image, base, digest, requirements, parent, context, inputs)


def _archive(workspace: Workspace, image: TrainerImage) -> Path:
    return workspace.state / "images" / f"{image.digest}.tar.gz"


def recorded(workspace: Workspace, tag: str, digest: str, requirements_digest: str) -> TrainerImage:
    """The image of an earlier run, which is not to be built; the workspace may have another of that name."""
    name = tag.removeprefix(PREFIX).partition(":")[0]
    image_spec = spec.discover(workspace).get(name) or ImageSpec(name, workspace.images / name, gpu=True)
    return TrainerImage(image_spec, "", digest, requirements_digest)


def _inputs(workspace: Workspace, image: ImageSpec) -> Iterator[tuple[str, Path]]:
    """Every file that the build sees, and what it knows it as; also in trainer_images/.dockerignore."""
    image_lock.check(image.name, image.lock)
    yield f"{image.name}/{image.lock.name}", image.lock
    root = spec.shared(workspace)
    for name in ("Dockerfile", "layer.sh", "uv.txt", "trainkit/pyproject.toml"):
        path = root / name
        # That of an earlier version, which a workspace or a run may have, calls no script.
        if name == "layer.sh" and b"layer.sh" not in (root / "Dockerfile").read_bytes():
            continue
        if not path.is_file():
            raise InvalidInput(f"{path} is missing; every image is built with it.", "Restore it.")
        yield name, path
    trainkit = root / "trainkit"
    for path in sorted(path for kind in _OF_TRAINKIT for path in trainkit.glob(kind)):
        yield path.relative_to(root).as_posix(), path
