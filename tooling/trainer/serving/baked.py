"""An image with a model in it, for a server or a platform that knows nothing of this workspace."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trainer import image_reference
from trainer.errors import InvalidInput
from trainer.images import build as building
from trainer.images import leftovers as images
from trainer.images import used_by
from trainer.images.folder_image import FolderImage
from trainer.images.spec import BASE_LABEL, DIGEST_LABEL, PREFIX
from trainer.images.trainer_image import EPOCH
from trainer.leftovers import Leftovers
from trainer.progress import Steps
from trainer.serving import image, service, volume
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker
    from trainkit.inference.predictor import Predictor

LABEL = "trainer.model"
SHA256, RUN_ID, SOURCE = f"{LABEL}.sha256", f"{LABEL}.run_id", f"{LABEL}.source"
_OCI = "org.opencontainers.image"
_NAMES = f"{image.NAME}-"
MODEL = f"{volume.FOLDER}/model.onnx"
# The server's options may follow the image's name in `docker run`: there is no CMD that they would replace.
_DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY files/ /
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["python", "-m", "model_server.healthy"]
ENTRYPOINT @ENTRYPOINT@
CMD []
"""


class ModelFile(Protocol):
    """An ONNX file, and what its model is called: a path, the name of a run, or NAME@VERSION."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def name(self) -> str:
        """As a user reads it."""

    def open(self) -> Predictor:
        """The model in memory. Raises `InputError`."""


@dataclass(frozen=True)
class BakedImage:
    """The image as it is to be: the one that models are served in, with one of them."""

    model: Path
    served_as: str
    parent: FolderImage
    digest: str
    """Of the parent's, the model's and the labels'."""
    context: Path
    """Where what the build sees is gathered."""
    dockerfile: str = field(repr=False)
    serving: str = field(repr=False)
    """What the server is told of the model."""
    labels: Mapping[str, str] = field(hash=False)
    chosen_tag: str | None = None
    """One of the user's own."""

    @property
    def name(self) -> str:
        """`serve-skin`."""
        return _NAMES + _component(self.served_as)

    @property
    def tag(self) -> str:
        """`trainer/serve-skin:0123456789ab`."""
        return f"{PREFIX}{self.name}:{self.digest[:12]}"

    @property
    def tags(self) -> tuple[str, ...]:
        """All that it bears."""
        return (self.tag, self.chosen_tag) if self.chosen_tag else (self.tag,)

    @property
    def base_image(self) -> str:
        """What it is built on."""
        return self.parent.tag

    @property
    def root_base(self) -> str:
        """The same: it installs nothing, and asks for no uv."""
        return self.base_image

    @contextmanager
    def build_context(self) -> Iterator[None]:
        """Within: the model lies there, with the owner, mode and time that it has in the image."""
        folder = self.context / "files" / Path(MODEL).parent.relative_to("/")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = folder / Path(MODEL).name
            shutil.copyfile(self.model, file)
            told = folder / Path(volume.SERVING_FILE).name
            told.write_text(self.serving, encoding="utf-8")
            (self.context / "Dockerfile").write_text(self.dockerfile, encoding="utf-8")
            for path, mode in ((file, 0o444), (told, 0o444), (folder, 0o755), (folder.parent, 0o755)):
                path.chmod(mode)
                os.utime(path, (EPOCH, EPOCH))
            yield
        finally:
            shutil.rmtree(self.context, ignore_errors=True)

    def build_command(self, *, no_cache: bool = False, tags: tuple[str, ...] = ()) -> list[str]:
        """The BuildKit build; `tags` are given instead of the image's own."""
        return [
            "docker", "buildx", "build", "--progress=plain", "--load",
            *(["--no-cache"] if no_cache else []),
            f"--build-arg=BASE_IMAGE={self.base_image}",
            f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}",
            f"--label={DIGEST_LABEL}={self.digest}",
            f"--label={BASE_LABEL}={self.base_image}",
            *(f"--label={name}={value}" for name, value in self.labels.items()),
            *(f"--tag={tag}" for tag in tags or self.tags),
            str(self.context),
        ]  # fmt: skip


def plan(
    workspace: Workspace, file: ModelFile, *, tag: str | None = None, base_image: str | None = None
) -> BakedImage:
    """What building it comes to; `tag` is one more for it, the user's.

    Raises `InvalidInput` for a file that is no model in use, and a tag that is none or trainer's own.
    """
    from trainkit.inference.serving_file import Entry, ServingFile

    chosen = None if tag is None else _checked(tag)
    model, sha256, run_id, framework = _looked_into(file)
    parent = image.plan(workspace, base_image)
    name, _, version = file.name.rpartition("@")
    version = version if name and version.isdecimal() else ""  # else it is a file, or a run
    served_as = service.name_of(file.name)
    labels = {
        f"{_OCI}.title": served_as,
        f"{_OCI}.description": f"A model of {framework}, served over HTTP on ONNX Runtime",
        **({f"{_OCI}.version": version} if version else {}),
        f"{_OCI}.base.name": parent.tag,
        LABEL: f"{name}@{version}" if version else served_as,
        SHA256: sha256,
        **({RUN_ID: run_id} if run_id else {}),
        **(
            {SOURCE: f"models:/{name}/{version}"}
            if version
            else {SOURCE: f"runs:/{run_id}"}
            if run_id
            else {}
        ),
    }
    address = ("--host", "0.0.0.0")  # noqa: S104 (of the container)
    entrypoint = ["python", "-m", "model_server", volume.SERVING_FILE, *address, "--name", served_as]
    dockerfile = _DOCKERFILE.replace("@ENTRYPOINT@", json.dumps(entrypoint))
    entry = Entry(file=Path(MODEL).name, label=labels[LABEL], version=version or None)
    serving = ServingFile(model=entry).text()
    inputs = [
        parent.digest,
        sha256,
        dockerfile,
        serving,
        *(f"{key}={value}" for key, value in labels.items()),
    ]
    digest = hashlib.sha256("\0".join(inputs).encode()).hexdigest()
    context = workspace.state / f"context-{image.NAME}-{digest[:12]}"
    return BakedImage(model, served_as, parent, digest, context, dockerfile, serving, labels, chosen)


def build(
    client: docker.DockerClient, workspace: Workspace, file: ModelFile, tag: str | None, steps: Steps
) -> str:
    """Have the image of the model; its tag, which is `tag` if given. Raises as `plan`, and `ImageError`."""
    baked = plan(workspace, file, tag=tag)
    building.ensure(workspace, client, baked, steps)
    return baked.chosen_tag or baked.tag


def leftovers(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """What this workspace has built, but the last of each name. A tag of the user's stays."""
    last = used_by.last(workspace)
    names = [name.removeprefix(PREFIX) for name in last if name.startswith(PREFIX + _NAMES)]
    return images.earlier(workspace, client, names, set(last.values()))


def _looked_into(file: ModelFile) -> tuple[Path, str, str | None, str]:
    from trainkit.errors import InputError

    try:
        predictor = file.open()
    except InputError as error:
        raise InvalidInput(error.message, error.hint) from None
    described = predictor.description
    return file.path, predictor.version, described.run_id, described.framework


def _checked(tag: str) -> str:
    image_reference.check(tag, "--tag")
    if "@" in tag or tag.startswith(PREFIX):
        raise InvalidInput(
            f"--tag is {tag!r}, which is a digest or one of trainer's own names.",
            "Use a name of yours, such as registry.example.com/skin:3.",
        )
    return tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"


def _component(name: str) -> str:
    """The name as a repository may have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
