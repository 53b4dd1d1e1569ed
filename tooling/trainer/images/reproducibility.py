"""Whether an image comes out the same when it is built again: two builds from nothing, compared."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer import subprocesses
from trainer.engine import daemon
from trainer.images import build, buildkit, content
from trainer.images.buildkit import Buildable
from trainer.images.content import Difference
from trainer.images.spec import PREFIX
from trainer.progress import Steps
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

# A build from nothing empties the caches of downloads that its steps mount: not those of other builds.
_OWN_DOWNLOADS = "--build-arg=BUILDKIT_CACHE_MOUNT_NS=trainer-check"


@dataclass(frozen=True)
class Trial:
    """One of the two builds. Its tag is its own; were it ever left behind, `trainer gc` would remove it."""

    number: int
    tag: str
    command: list[str]


@dataclass(frozen=True)
class Verdict:
    """What two builds of an image came to."""

    image: str
    ids: tuple[str, str]
    present_id: str | None
    """The workspace's own image of today's inputs; None where it is not built."""
    differences: tuple[Difference, ...]
    present_equal: bool | None
    """Whether that one has the same files and settings; None without it.

    Its id may be another all the same: an engine packs a layer in another way when it has removed an image
    that had the layer below.
    """

    @property
    def identical(self) -> bool:
        """Whether they are one image, bit for bit: an image's id is a digest of all that is in it."""
        return self.ids[0] == self.ids[1]

    @property
    def equal(self) -> bool:
        """Whether they differ at most in when files were written."""
        return not self.differences


def trials(plan: Buildable) -> tuple[Trial, Trial]:
    """The two builds, without any cache of their own."""
    name = randomness.token_hex(4)

    def trial(number: int) -> Trial:
        tag = f"{PREFIX}{plan.name}:check-{name}-{number}"
        return Trial(number, tag, [*plan.build_command(no_cache=True, tags=(tag,)), _OWN_DOWNLOADS])

    return trial(1), trial(2)


def check(
    workspace: Workspace,
    client: docker.DockerClient,
    plan: Buildable,
    steps: Steps,
) -> Verdict:
    """Build the image twice and compare. The image that is there, and its tags, stay as they are.

    What it inherits from is had as usual. Nothing else is left behind, whatever happens. Raises
    `ImageError`, `EngineError`.
    """
    buildkit.buildx_version()
    if plan.parent:
        build.ensure(workspace, client, plan.parent, steps)
    base = build.base_options(client, plan, steps)
    both = trials(plan)
    try:
        for trial in both:
            log = workspace.state / f"build-{plan.name}-check-{trial.number}.log"
            buildkit.run(plan, [*trial.command, *base], log, steps, f"Build {trial.number} of 2, {plan.name}")
            log.unlink()
        ids = (build.built(client, both[0].tag), build.built(client, both[1].tag))
        # An export of 800 MB is read in seconds; but images with one id are one image.
        differences = () if ids[0] == ids[1] else tuple(_differences(client, ids, steps))
        present, is_equal = build.image_id(client, plan.tag), None
        if present:
            others = (ids[0], present)
            is_equal = present in ids or not any(_differences(client, others, steps))
    finally:
        with subprocesses.deferred_signals():
            for trial in both:
                _remove(client, trial.tag)
    return Verdict(plan.name, ids, present, differences, is_equal)


def _differences(
    client: docker.DockerClient,
    ids: tuple[str, str],
    steps: Steps,
) -> Iterator[Difference]:
    first, second = (content.settings(client, image) for image in ids)
    yield from content.settings_differences(first, second)
    read = []
    for number, image in enumerate(ids, 1):
        steps.step(f"Reading the files of image {number} of 2")
        read.append(content.files(client, image, lambda count: steps.part("", count)))
    yield from content.differences(*read)


def _remove(client: docker.DockerClient, tag: str) -> None:
    """The tag, and the image where no other tag has it."""
    from docker.errors import ImageNotFound

    with daemon.failures():
        try:
            client.api.remove_image(tag)
        except ImageNotFound:
            return
