"""Building trainer images with BuildKit; an image that is up to date costs one look-up."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import locks, subprocesses
from trainer.engine import daemon
from trainer.errors import ImageError
from trainer.host import user
from trainer.images import buildkit, pull, used_by
from trainer.images.buildkit import Buildable
from trainer.images.spec import BASE_DIGEST_LABEL, BASE_ID_LABEL, BASE_LABEL
from trainer.progress import Steps
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageOrigin:
    """What a built image is, and what it was built on. What is not known is empty."""

    id: str
    repo_digests: tuple[str, ...]
    """`NAME@sha256:…` for each registry it was pushed to or pulled from; none where it was built here."""
    base_image: str
    """The base as it was named, or the tag of the trainer image that it inherits from."""
    base_image_id: str
    base_image_digest: str
    """`NAME@sha256:…`, where the base came from a registry under that name; empty otherwise."""

    def digest_as(self, name: str) -> str:
        """The repo digest of the image in the registry that `name` stands for; empty where it has none."""
        repository = name.partition("@")[0]
        if ":" in repository.rpartition("/")[2]:
            repository = repository.rpartition(":")[0]
        return next(
            (repo_digest for repo_digest in self.repo_digests if repo_digest.partition("@")[0] == repository),
            "",
        )


def origin(client: docker.DockerClient, image_id: str) -> ImageOrigin:
    """What is to be recorded of an image, by its id or tag: one look-up; the base need not be there any more.

    Raises `ImageError` when the engine does not have the image.
    """
    from docker.errors import ImageNotFound

    with daemon.failures():
        try:
            inspected = client.api.inspect_image(image_id)
        except ImageNotFound:
            raise ImageError(f"The engine does not have the image {image_id}.", "trainer images") from None
    labels = inspected["Config"].get("Labels") or {}
    return ImageOrigin(
        id=inspected["Id"],
        repo_digests=tuple(inspected.get("RepoDigests") or ()),
        base_image=labels.get(BASE_LABEL, ""),
        base_image_id=labels.get(BASE_ID_LABEL, ""),
        base_image_digest=labels.get(BASE_DIGEST_LABEL, ""),
    )


def is_there(client: docker.DockerClient, identity: str, repo_digests: Sequence[str] = ()) -> bool:
    """Whether that is the id of an image, and not the beginning of one or a name; it may be pulled first."""

    def is_id() -> bool:
        return bool(identity) and image_id(client, identity) == identity

    for name in repo_digests:
        if is_id():
            break
        subprocesses.capture(["docker", "pull", "--quiet", name])
    return is_id()


def image_id(client: docker.DockerClient, tag: str) -> str | None:
    """The engine's id of the image, or None when it is not there."""
    from docker.errors import ImageNotFound

    with daemon.failures():
        try:
            return str(client.api.inspect_image(tag)["Id"])
        except ImageNotFound:
            return None


def ensure(
    workspace: Workspace,
    client: docker.DockerClient,
    image: Buildable,
    steps: Steps,
    *,
    no_cache: bool = False,
) -> tuple[str, bool]:
    """Have the image: its id, and whether anything was built. Parents are built first.

    Raises `ImageError` with the cause, `EngineError` when BuildKit is missing. `no_cache` builds even what is
    up to date, from an empty layer cache. Of several callers at once one builds, and the others wait and find
    its image.
    """
    used_by.note(workspace, image)
    present = None if no_cache else _present_id(client, image)
    if present:
        _LOG.info("Image %s is up to date: %s", image.tag, present)
        return present, False
    if image.parent:
        ensure(workspace, client, image.parent, steps, no_cache=no_cache)
    buildkit.buildx_version()
    lock = _lock(image)
    if locks.held(lock):
        steps.step(f"Waiting for another trainer that builds {image.tag}")
    with locks.exclusive(lock):
        present = None if no_cache else _present_id(client, image)
        if present:
            return present, False
        _LOG.info("Image %s is built: %s", image.tag, "asked for" if no_cache else _why(client, image))
        command = [*image.build_command(no_cache=no_cache), *base_options(client, image, steps)]
        log = workspace.state / f"build-{image.name}.log"
        began = time.monotonic()
        buildkit.run(image, command, log, steps)
        steps.remark(f"Built {image.name} in {time.monotonic() - began:.0f} s. Log: {buildkit.near(log)}")
        return built(client, image.tag), True


def _why(client: docker.DockerClient, image: Buildable) -> str:
    """Why the image is not there. A tag names its inputs: one that is built from others has another tag."""
    other_tags = [tag for tag in image.tags if tag != image.tag and image_id(client, tag)]
    return (
        f"what it is built from has changed since {other_tags[0]}"
        if other_tags
        else "there is none of that name"
    )


def _present_id(client: docker.DockerClient, image: Buildable) -> str | None:
    """The engine's id of the image, which bears all its tags from now on; None when it is not there.

    Its inputs may be those of an earlier day again, and another image the latest since then.
    """
    from docker.errors import ImageNotFound

    with daemon.failures():
        try:
            inspected = client.api.inspect_image(image.tag)
        except ImageNotFound:
            return None
        for tag in set(image.tags) - set(inspected["RepoTags"]):
            client.api.tag(inspected["Id"], tag.rpartition(":")[0], tag.rpartition(":")[2])
        return str(inspected["Id"])


def built(client: docker.DockerClient, tag: str) -> str:
    """The id of what was built just now; raises `ImageError` where BuildKit has put it elsewhere."""
    built_id = image_id(client, tag)
    if built_id is None:
        raise ImageError(
            f"The build of {tag} succeeded, but the engine at {daemon.endpoint()} does not have the image.",
            "docker buildx builds elsewhere: choose its builder with `docker buildx use default`.",
        )
    return built_id


def base_options(client: docker.DockerClient, image: Buildable, steps: Steps) -> list[str]:
    """The options with which an image is told what its base is, which is pulled if it is missing.

    Neither time nor place: two builds on one base still come to the same image. uv, which installs the
    packages, is the one that the first of its parents was made with: to install it again on top of another
    parent would take longer than a small package. Raises `ImageError`.
    """
    if image_id(client, image.base_image) is None:
        try:
            pull.pull(client, image.base_image, steps)
        except pull.PullFailed:
            raise buildkit.no_base(image) from None
    base = origin(client, image.base_image)
    digest = base.digest_as(image.base_image)
    is_root_here = image.root_base != image.base_image and image_id(client, image.root_base)
    return [
        f"--label={BASE_ID_LABEL}={base.id}",
        *([f"--label={BASE_DIGEST_LABEL}={digest}"] if digest else []),
        *([f"--build-arg=UV_IMAGE={image.root_base}"] if is_root_here else []),
    ]


def _lock(image: Buildable) -> Path:
    """Held by who builds the image. In the user's state folder, not in the workspace's: workspaces share the
    engine, and with the same inputs they ask it for the same tag.
    """
    return user.state() / "builds" / f"{image.tag.replace('/', '-')}.lock"


@dataclass(frozen=True)
class ImageState:
    """What the engine has of an image: `up to date`, `stale` (built from other inputs) or `not built`."""

    status: str
    size_mb: int | None = None


def state(client: docker.DockerClient, current: str, latest: str) -> ImageState:
    """What the engine has of an image whose tag is to be `current`, and was `latest` when it was built."""
    with daemon.failures():
        for tag, status in ((current, "up to date"), (latest, "stale")):
            if image_id(client, tag):
                return ImageState(status, round(client.api.inspect_image(tag)["Size"] / 1e6))
    return ImageState("not built")
