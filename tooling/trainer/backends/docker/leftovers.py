"""Containers of ended runs, and unused code on the engine."""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import leftovers
from trainer.backends.docker import code_layer, containers, session
from trainer.backends.docker.config import container_name
from trainer.backends.docker.slots import holders
from trainer.backends.docker.warm import place
from trainer.backends.docker.warm.place import Place
from trainer.engine import daemon, one_off
from trainer.host import living
from trainer.images import leftovers as images
from trainer.leftovers import KILLED, Leftover, Leftovers
from trainer.source import cache
from trainer.workspace import run_folder
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker


def of_runs(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Containers of this workspace's runs that have ended, or never began."""

    def found() -> Iterator[Leftover]:
        ours = workspace.identity
        for container in containers.of_runs(usage=False):
            is_ours = container.workspace == ours and container.record.is_here
            is_known = run_folder.of(workspace, container.record.run_id).path.exists()
            if is_ours and not container.running and not is_known:
                name = container_name(container.record.run_id)
                yield Leftover("container", name, 0, "its run has ended or never began")

    return _containers(client, found())


def of_killed_launches(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Containers that were to become a layer with code, to have a shell, or to answer a question; slots.

    Of the latter two all that are nobody's any more, whatever workspace had them.
    """

    def found() -> Iterator[Leftover]:
        asking = client.containers.list(all=True, filters={"label": one_off.LABEL}, ignore_removed=True)
        for container in asking:
            owner = living.is_alive(container.labels[one_off.LABEL])
            if container.status != "running" and owner is False:
                yield Leftover("container", str(container.name), 0, KILLED)
        yield from (Leftover("container", slot[:12], 0, KILLED) for slot in holders.seen(client).stale)
        labels = (_labels(workspace), [f"{session.LABEL}={workspace.identity}"])
        for container in (
            each
            for label in labels
            for each in client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        ):
            created = datetime.fromisoformat(container.attrs["Created"]).timestamp()
            is_half_made = container.status == "created" and containers.RUN_ID not in container.labels
            if is_half_made and not leftovers.may_be_in_use(created):
                yield Leftover("container", str(container.name), 0, KILLED)

    return _containers(client, found())


def of_warm(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Containers for one run after another whose process is gone, and that no run is left in."""

    def found() -> Iterator[Leftover]:
        labels = [place.LABEL, f"{containers.WORKSPACE}={workspace.identity}"]
        for container in client.containers.list(all=True, filters={"label": labels}, ignore_removed=True):
            run_id = Place(Path(container.labels[place.LABEL])).occupant()
            is_left = run_id is None or not run_folder.of(workspace, run_id).path.exists()
            if container.status in ("exited", "dead") and is_left:
                yield Leftover("container", str(container.name), 0, KILLED)

    return _containers(client, found())


def of_code(workspace: Workspace, client: docker.DockerClient, removed: Container[str]) -> Leftovers:
    """Code that the engine keeps and that no launch would take.

    `removed` are the names of what goes already: an image is not freed before the code on it is.
    """

    def found() -> Iterator[Leftover]:
        remaining = [folder for folder in cache.folders(workspace) if str(folder) not in removed]
        launched = {folder.name: cache.digest(folder) for folder in remaining}
        containers = client.containers.list(
            all=True, filters={"label": _labels(workspace)}, ignore_removed=True
        )
        used = {container.attrs["Image"] for container in containers}
        for image in client.images.list(filters={"label": _labels(workspace)}):
            labels = image.labels
            is_current = launched.get(labels[code_layer.KEY_LABEL]) == labels[code_layer.DIGEST_LABEL]
            stays = any(name not in removed for name in _names(client, labels[code_layer.IMAGE_LABEL]))
            if image.id not in used and not (is_current and stays):
                why = (
                    "the image below it is not used any more"
                    if is_current
                    else "its code was not launched last"
                )
                for tag in code_layer.tags(image):
                    yield Leftover("image", tag, image.attrs["Size"], why)

    return images.tagged(client, found())


def _containers(client: docker.DockerClient, leftovers_found: Iterator[Leftover]) -> Leftovers:
    def remove(leftover: Leftover) -> bool:
        # Not by force: it may run again.
        return daemon.is_removed(lambda: client.containers.get(leftover.name).remove(v=True))

    with daemon.failures():
        return leftovers.each(leftovers_found, remove)


def _labels(workspace: Workspace) -> list[str]:
    return [code_layer.DIGEST_LABEL, f"{code_layer.WORKSPACE_LABEL}={workspace.identity}"]


def _names(client: docker.DockerClient, image_id: str) -> list[str]:
    from docker.errors import ImageNotFound

    try:
        inspected = client.api.inspect_image(image_id)
    except ImageNotFound:
        return []
    return [*(inspected.get("RepoTags") or ()), *(inspected.get("RepoDigests") or ())]
