"""Unused images, and old logs of builds."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from trainer import leftovers
from trainer.engine import daemon
from trainer.images import project_env, spec, trainer_image, used_by
from trainer.images.spec import BASE_LABEL, DIGEST_LABEL, PREFIX
from trainer.leftovers import Leftover, Leftovers
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker


def of_logs(workspace: Workspace, days: float) -> Leftovers:
    """Logs of builds that are older than that."""
    logs = []
    for path in sorted(workspace.state.glob("build-*.log")):
        age = leftovers.days(path.stat().st_mtime)
        if age > days:
            logs.append(Leftover("build log", str(path), path.stat().st_size, f"{age:.0f} days old"))
    return leftovers.paths(logs)


def of_builds(workspace: Workspace, client: docker.DockerClient, kept: Collection[str] = ()) -> Leftovers:
    """Builds of this workspace's images from other inputs than today's, that nobody uses.

    The tags `kept` are waited for.
    """
    return earlier(workspace, client, spec.discover(workspace), {*current(workspace, client), *kept})


def of_projects(
    workspace: Workspace, client: docker.DockerClient, days: float, kept: Collection[str] = ()
) -> Leftovers:
    """What was built from projects' environment files, but for the tags `kept`.

    It is built again when it is needed.
    """

    def found() -> Iterator[Leftover]:
        used, live = _used(workspace, client)
        live |= used_by.others(workspace).only.union(kept)
        for image in client.images.list(filters={"label": project_env.LABEL}):
            age = leftovers.days(datetime.fromisoformat(image.attrs["Created"]).timestamp())
            # What was made from it has its labels too.
            for tag in (tag for tag in image.tags if tag.startswith(PREFIX)):
                if age > days and image.id not in used and tag not in live:
                    why = f"built {age:.0f} days ago for a project"
                    yield Leftover("image", tag, image.attrs["Size"], why)

    return tagged(client, found())


def earlier(
    workspace: Workspace, client: docker.DockerClient, names: Container[str], current: Container[str]
) -> Leftovers:
    """Images of these names that are not tagged with one of `current`.

    Not those that a container has, nor what another workspace of this user uses or is to remove.
    """

    def found() -> Iterator[Leftover]:
        used, live = _used(workspace, client)
        others = used_by.others(workspace)
        live |= others.only | others.latest
        for image in client.images.list(filters={"label": DIGEST_LABEL}):
            for tag in image.tags:
                name, _, version = tag.removeprefix(PREFIX).rpartition(":")
                is_old = (
                    tag.startswith(PREFIX) and name in names and version != "latest" and tag not in current
                )
                if is_old and image.id not in used and tag not in live:
                    yield Leftover("image", tag, image.attrs["Size"], "its inputs have changed since")

    return tagged(client, found())


def current(workspace: Workspace, client: docker.DockerClient) -> set[str]:
    """The tags of today's inputs, on every base image that was built on."""
    return {
        trainer_image.plan(workspace, image, base).tag
        for image in spec.discover(workspace).values()
        for base in bases(client)
    }


def bases(client: docker.DockerClient) -> set[str | None]:
    """The base images that were built on; None is the workspace's own."""
    with daemon.failures():
        built = client.images.list(filters={"label": DIGEST_LABEL})
    base_images = {image.labels.get(BASE_LABEL) for image in built} | {None}
    return {base for base in base_images if base is None or not base.startswith(PREFIX)}


def tagged(client: docker.DockerClient, leftovers_found: Iterator[Leftover]) -> Leftovers:
    """Leftovers that are tags of images."""

    def remove(leftover: Leftover) -> bool:
        return daemon.is_removed(lambda: client.images.remove(leftover.name))

    with daemon.failures():
        return leftovers.each(leftovers_found, remove)


def _used(workspace: Workspace, client: docker.DockerClient) -> tuple[set[str], set[str]]:
    """The ids of the images that containers have, and the tags of those that live runs have."""
    containers = client.containers.list(all=True, ignore_removed=True)
    return {container.attrs["Image"] for container in containers}, {
        run.image for run in run_folders.live(workspace)
    }
