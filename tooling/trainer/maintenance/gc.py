"""What runs and builds left behind and nobody needs any more: found first, removed on request."""

from __future__ import annotations

import shutil
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainer.backends import registry
from trainer.backends.docker import code_layer, containers
from trainer.engine import daemon
from trainer.errors import TrainerError
from trainer.images import project_env, trainer_image
from trainer.images import spec as images
from trainer.images.spec import BASE_LABEL, DIGEST_LABEL, PREFIX
from trainer.maintenance import cache
from trainer.runs import half_made, reconcile, server
from trainer.server import image as server_image
from trainer.source import cache as code_cache
from trainer.tracking.failures import NotThere
from trainer.workspace import run_folder, run_folders
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

Kind = Literal["run", "folder", "container", "image", "environment", "build log", "cache", "local cache"]
_KILLED = "what made it was killed"


@dataclass(frozen=True)
class Leftover:
    """Something that can go. `name` is a run's id, a path, a container, a tag or a part of the cache."""

    kind: Kind
    name: str
    size: int
    """Bytes; of an image with what it shares with others."""
    why: str


def find(workspace: Workspace, *, of_cache: bool, days: float) -> tuple[list[Leftover], list[str]]:
    """What can go, and a line for whatever could not be looked at.

    Nothing that a live run uses is among it, nor what is on this disk alone. `days` is how old a build's log
    has to be, and, with `of_cache`, how long a part of the cache has not been used.
    """
    found = [Leftover("folder", str(path), _size(path), _KILLED) for path in half_made.folders(workspace)]
    found += [*_build_logs(workspace, days), *_packed_code(workspace, days)]
    strange = run_folders.unreadable(workspace)
    notes = [str(one) for one in strange]
    if waiting := run_folders.undelivered(workspace):
        notes.append(
            f"{len(waiting)} run(s) have data that is on this disk alone. They were left alone: trainer sync"
        )
    try:
        found += _runs(workspace)
    except TrainerError as problem:
        notes.append(f"Runs whose end is not told yet were left alone: {problem.message}")
    on_host = (not registry.isolates(record.backend) for record in run_folders.live(workspace))
    if of_cache and (strange or any(on_host)):
        notes.append("A live run may use the local cache: nothing of it is removed.")
    elif of_cache:
        found += [
            _unused("local cache", entry) for entry in cache.in_folder(workspace) if cache.days(entry) > days
        ]
    try:
        client = daemon.connect()
        with daemon.failures():
            found += [*_containers(workspace), *_images(workspace, client)]
            found += _layered_code(workspace, client, {one.name for one in found})
        if not strange:
            found += _environments(workspace, _current(workspace, client), days if of_cache else None)
        if of_cache:
            found += _environment_images(workspace, client, days)
            found += _volume(workspace, client, days, notes)
    except TrainerError as problem:
        notes.append(f"{problem.message} Its containers, images and cache were not looked at.")
    return found, notes


def remove(workspace: Workspace, leftovers: Sequence[Leftover]) -> Iterator[Leftover]:
    """Remove them one after the other; yields each that is gone. What is in use meanwhile stays."""
    for leftover in leftovers:
        if leftover.kind not in ("cache", "local cache") and _remove(workspace, leftover):
            yield leftover
    names = [leftover.name for leftover in leftovers if leftover.kind == "local cache"]
    cache.remove_from_folder(workspace, names)
    yield from (leftover for leftover in leftovers if leftover.kind == "local cache")
    in_volume = [leftover for leftover in leftovers if leftover.kind == "cache"]
    if in_volume and not cache.is_used(client := daemon.connect()):
        image = _any_image(workspace, client)
        if image:
            cache.remove_from_volume(client, image, [leftover.name for leftover in in_volume])
            yield from in_volume


def _remove(workspace: Workspace, leftover: Leftover) -> bool:
    from docker.errors import APIError, NotFound

    match leftover.kind:
        case "folder" | "environment":
            shutil.rmtree(leftover.name, ignore_errors=True)
        case "build log":
            Path(leftover.name).unlink(missing_ok=True)
        case "run":
            for record, lock in run_folders.unattended(workspace):
                with lock:
                    if record.run_id == leftover.name:
                        reconcile.job_of(workspace, record).remove()
                        run_folders.remove(workspace, record.run_id)
        case "container" | "image":
            client = daemon.connect()
            with daemon.failures():
                try:
                    if leftover.kind == "container":
                        client.containers.get(leftover.name).remove(v=True)  # not by force: it may run again
                    else:
                        client.images.remove(leftover.name)
                except NotFound:
                    return True
                except APIError:
                    return False
    return True


def _build_logs(workspace: Workspace, days: float) -> Iterator[Leftover]:
    for path in sorted(workspace.state.glob("build-*.log")):
        age = (time.time() - path.stat().st_mtime) / 86400
        if age > days:
            yield Leftover("build log", str(path), path.stat().st_size, f"{age:.0f} days old")


def _packed_code(workspace: Workspace, days: float) -> Iterator[Leftover]:
    for path in code_cache.folders(workspace):
        age = (time.time() - path.stat().st_mtime) / 86400
        if age > days:
            yield Leftover("folder", str(path), _size(path), f"code that was not launched for {age:.0f} days")


def _layered_code(
    workspace: Workspace, client: docker.DockerClient, going: Container[str]
) -> Iterator[Leftover]:
    """Code that the engine keeps and that no launch would take, and what killed launches left of it.

    `going` are the names of what goes already: an image is not freed before the code on it is.
    """
    launched = {
        place.name: code_cache.digest(place)
        for place in code_cache.folders(workspace)
        if str(place) not in going
    }
    labels = [code_layer.DIGEST_LABEL, f"{code_layer.WORKSPACE_LABEL}={workspace.identity}"]
    found = client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
    for container in found:
        age = time.time() - datetime.fromisoformat(container.attrs["Created"]).timestamp()
        is_half_made = container.status == "created" and containers.RUN_ID not in container.labels
        if is_half_made and age > half_made.AGE_S:
            yield Leftover("container", str(container.name), 0, _KILLED)
    used = {container.attrs["Image"] for container in found}
    for image in client.images.list(filters={"label": labels}):
        is_current = launched.get(image.labels[code_layer.KEY_LABEL]) == image.labels[code_layer.DIGEST_LABEL]
        stays = any(name not in going for name in _names(client, image.labels[code_layer.IMAGE_LABEL]))
        if image.id not in used and not (is_current and stays):
            why = (
                "the image below it is not used any more" if is_current else "its code was not launched last"
            )
            for tag in code_layer.tags(image):
                yield Leftover("image", tag, image.attrs["Size"], why)


def _names(client: docker.DockerClient, image_id: str) -> list[str]:
    from docker.errors import ImageNotFound

    try:
        said = client.api.inspect_image(image_id)
    except ImageNotFound:
        return []
    return [*(said.get("RepoTags") or ()), *(said.get("RepoDigests") or ())]


def _runs(workspace: Workspace) -> Iterator[Leftover]:
    """Runs that have ended, and that their server does not know any more."""
    for record in run_folders.live(workspace):
        folder = run_folder.of(workspace, record.run_id)
        is_ours = record.is_here and not run_folders.is_looked_after(workspace, record.run_id)
        if not is_ours or not half_made.is_delivered(folder):
            continue
        if reconcile.job_of(workspace, record).end() is None:
            continue
        try:
            server.client_of(workspace, record).get_run(record.run_id)
        except NotThere:
            yield Leftover("run", record.run_id, _size(folder.path), f"{record.tracking_uri} has it no more")


def _containers(workspace: Workspace) -> Iterator[Leftover]:
    ours = workspace.identity
    for container in containers.of_runs(usage=False):
        is_ours = container.workspace == ours and container.record.is_here
        is_known = run_folder.of(workspace, container.record.run_id).path.exists()
        if is_ours and not container.running and not is_known:
            name = f"trainer-{container.record.run_id}"
            yield Leftover("container", name, 0, "its run has ended or never began")


def _images(workspace: Workspace, client: docker.DockerClient) -> Iterator[Leftover]:
    """Builds of this workspace's images from other inputs than today's, that no container has."""
    current = _current(workspace, client)
    names = {f"{PREFIX}{name}" for name in (*images.discover(workspace), server_image.NAME)}
    used = {container.attrs["Image"] for container in client.containers.list(all=True, ignore_removed=True)}
    live = {record.image for record in run_folders.live(workspace)}
    for image in client.images.list(filters={"label": DIGEST_LABEL}):
        for tag in image.tags:
            name, _, version = tag.rpartition(":")
            is_old = name in names and version != "latest" and tag not in current
            if is_old and image.id not in used and tag not in live:
                yield Leftover("image", tag, image.attrs["Size"], "its inputs have changed since")


def _environment_images(workspace: Workspace, client: docker.DockerClient, days: float) -> Iterator[Leftover]:
    """What was built from projects' environment files; it is built again when it is needed."""
    used = {container.attrs["Image"] for container in client.containers.list(all=True, ignore_removed=True)}
    live = {record.image for record in run_folders.live(workspace)}
    for image in client.images.list(filters={"label": project_env.LABEL}):
        age = (time.time() - datetime.fromisoformat(image.attrs["Created"]).timestamp()) / 86400
        if code_layer.DIGEST_LABEL in image.labels:  # what it is a layer on has all the labels too
            continue
        for tag in image.tags:
            if age > days and image.id not in used and tag not in live:
                yield Leftover("image", tag, image.attrs["Size"], f"built {age:.0f} days ago for a project")


def _current(workspace: Workspace, client: docker.DockerClient) -> set[str]:
    """The tags of today's inputs, on every base image that was built on."""
    found = client.images.list(filters={"label": DIGEST_LABEL})
    bases = {image.labels.get(BASE_LABEL) for image in found} | {None}
    bases = {base for base in bases if base is None or not base.startswith(PREFIX)}
    runs = {
        trainer_image.plan(workspace, spec, base).tag
        for spec in images.discover(workspace).values()
        for base in bases
    }
    return runs | {server_image.plan(workspace, base).tag for base in bases}


def _environments(workspace: Workspace, current: set[str], days: float | None) -> Iterator[Leftover]:
    """Of trainer images the ones of earlier inputs; with `days` also those of projects, as old as that."""
    live = {record.image for record in run_folders.live(workspace)}
    for path in sorted((workspace.state / "environments").glob("*-py*/")):
        name, digest, _ = path.name.rsplit("-", 2)
        tag = f"{PREFIX}{name}:{digest}"
        if name.startswith(project_env.NAME_PREFIX):
            age = (time.time() - path.stat().st_mtime) / 86400
            if days is not None and age > days and tag not in live:
                yield Leftover(
                    "environment", str(path), _size(path), f"made {age:.0f} days ago for a project"
                )
        elif tag not in current and tag not in live:
            yield Leftover("environment", str(path), _size(path), "its inputs have changed since")


def _volume(
    workspace: Workspace, client: docker.DockerClient, days: float, notes: list[str]
) -> list[Leftover]:
    image = _any_image(workspace, client)
    if cache.is_used(client):
        notes.append("A live run uses the cache: nothing of it is removed.")
    elif image is None:
        notes.append("No trainer image is here to look into the cache with: trainer build-image NAME")
    else:
        return [
            _unused("cache", entry) for entry in cache.in_volume(client, image) if cache.days(entry) > days
        ]
    return []


def _unused(kind: Kind, entry: cache.Entry) -> Leftover:
    return Leftover(kind, entry.name, entry.size, f"not used for {cache.days(entry):.0f} days")


def _any_image(workspace: Workspace, client: docker.DockerClient) -> str | None:
    names = tuple(f"{PREFIX}{name}:" for name in images.discover(workspace))
    with daemon.failures():
        found = client.images.list(filters={"label": DIGEST_LABEL})
    return next((tag for image in found for tag in image.tags if tag.startswith(names)), None)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
