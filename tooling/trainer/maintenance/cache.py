"""What runs keep for later ones: the volume that containers share, and the folder of the local backend."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trainkit.run_environment import CACHE

from trainer import leftovers
from trainer.engine import daemon, one_off
from trainer.errors import EngineError
from trainer.images import spec
from trainer.images.spec import DIGEST_LABEL, PREFIX
from trainer.leftovers import Leftover, Leftovers
from trainer.plan.request import cache_volume
from trainer.projects.mounts import Mount
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_AT_ONCE = 200  # paths on one command line


@dataclass(frozen=True)
class Entry:
    """A part of a cache: pixels/FILE, checkpoints/RUN_ID, downloads/FOLDER, …"""

    name: str
    size: int
    """Bytes."""
    used: float
    """When a file of it was last read or written, in seconds since 1970."""


def in_volume(client: docker.DockerClient, image: str) -> list[Entry]:
    """What the cache of containers holds; looked at with a container of the image. Raises `EngineError`."""
    if not _exists(client):
        return []
    asking = ["find", CACHE, "-type", "f", "-printf", r"%A@ %T@ %s %P\0"]
    lines = one_off.run(client, image, asking, mounts=[_mount(read_only=True)]).out.split("\0")
    files = []
    for line in filter(None, lines):
        read, written, size, path = line.split(" ", 3)
        files.append((PurePosixPath(path), max(float(read), float(written)), int(size)))
    return _grouped(files)


def in_folder(workspace: Workspace) -> list[Entry]:
    """What the cache of the local backend holds."""
    cache_folder = folder(workspace)
    files = [
        (path, path.lstat()) for path in cache_folder.rglob("*") if path.is_file() and not path.is_symlink()
    ]
    return _grouped(
        (PurePosixPath(path.relative_to(cache_folder)), max(stat.st_atime, stat.st_mtime), stat.st_size)
        for path, stat in files
    )


def of_folder(workspace: Workspace, days: float, *, is_used: bool) -> Leftovers:
    """Parts of the local backend's cache that were not used for so many days; none where a run may use it."""
    if is_used:
        return leftovers.nothing("A live run may use the local cache: nothing of it is removed.")

    def remove(wanted: Sequence[Leftover]) -> Iterator[Leftover]:
        remove_from_folder(workspace, [one.name for one in wanted])
        yield from wanted

    return Leftovers(tuple(_unused("local cache", in_folder(workspace), days)), remove)


def of_volume(workspace: Workspace, client: docker.DockerClient, days: float) -> Leftovers:
    """Parts of the containers' cache that were not used for so many days; none where a run uses it."""
    image = _any_image(workspace, client)
    if is_used(client):
        return leftovers.nothing("A live run uses the cache: nothing of it is removed.")
    if image is None:
        return leftovers.nothing(
            "No trainer image is here to look into the cache with: trainer build-image NAME"
        )

    def remove(wanted: Sequence[Leftover]) -> Iterator[Leftover]:
        if wanted and not is_used(client):
            remove_from_volume(client, image, [one.name for one in wanted])
            yield from wanted

    return Leftovers(tuple(_unused("cache", in_volume(client, image), days)), remove)


def is_used(client: docker.DockerClient) -> bool:
    """Whether a running container, of any workspace, has the volume."""
    with daemon.failures():
        return bool(client.containers.list(filters={"volume": cache_volume()}))


def remove_from_volume(client: docker.DockerClient, image: str, names: Sequence[str]) -> None:
    """Remove these entries. Raises `EngineError`."""
    for start in range(0, len(names), _AT_ONCE):
        paths = [f"{CACHE}/{name}" for name in names[start : start + _AT_ONCE]]
        done = one_off.run(client, image, ["rm", "-rf", "--", *paths], mounts=[_mount(read_only=False)])
        if done.code:
            raise EngineError(
                f"The cache could not be cleared: {done.err.strip()}", "See who owns its files."
            )


def remove_from_folder(workspace: Workspace, names: Iterable[str]) -> None:
    """Remove these entries."""
    for name in names:
        path = folder(workspace) / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def folder(workspace: Workspace) -> Path:
    """The cache of the local backend."""
    return workspace.state / "cache"


def _unused(kind: str, entries: Iterable[Entry], days: float) -> Iterator[Leftover]:
    for entry in entries:
        if (age := leftovers.days(entry.used)) > days:
            yield Leftover(kind, entry.name, entry.size, f"not used for {age:.0f} days")


def _any_image(workspace: Workspace, client: docker.DockerClient) -> str | None:
    names = tuple(f"{PREFIX}{name}:" for name in spec.discover(workspace))
    with daemon.failures():
        found = client.images.list(filters={"label": DIGEST_LABEL})
    return next((tag for image in found for tag in image.tags if tag.startswith(names)), None)


def _exists(client: docker.DockerClient) -> bool:
    from docker.errors import NotFound

    with daemon.failures():
        try:
            client.volumes.get(cache_volume())
        except NotFound:
            return False
    return True


def _mount(*, read_only: bool) -> Mount:
    return Mount(cache_volume(), CACHE, read_only=read_only, kind="volume")


def _grouped(files: Iterable[tuple[PurePosixPath, float, int]]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for path, used, size in files:
        name = str(PurePosixPath(*path.parts[:2]))
        before = entries.get(name, Entry(name, 0, 0.0))
        entries[name] = Entry(name, before.size + size, max(before.used, used))
    return sorted(entries.values(), key=lambda entry: entry.name)
