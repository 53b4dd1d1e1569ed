"""The user that runs are on an engine: its ids in a container, and whether those are yours outside of it too.

Usually ids are the same inside and outside, and a run is you. Where an engine has ids of its own it is
somebody else, to whom your files are a stranger's: what it needs is put into its container, and what it wrote
is fetched, as with an engine on another machine.
"""

from __future__ import annotations

import functools
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer.engine import daemon
from trainer.errors import EngineError

if TYPE_CHECKING:
    import docker

_ORDINARY = 1000  # that of trainer images; an engine with ids of its own may not have this user's
_LOOKED_AT = 100


@dataclass(frozen=True)
class RunUser:
    """`uid` and `gid` are those in a container."""

    uid: int
    gid: int
    stranger: str = ""
    """Why it is another user than you on this machine; empty if it is you."""


@functools.cache
def of(client: docker.DockerClient) -> RunUser:
    """Ask the engine, once. Raises `EngineError`, also for a rootless one that is another user's."""
    kinds = daemon.kinds(client)
    uid, gid = host_ids()
    if daemon.is_remote(address := daemon.endpoint()):
        why = "the engine is on another machine"
    elif "userns" in kinds:
        why = "the engine remaps user ids (userns-remap)"
    else:
        why = ""
    if "rootless" in kinds:
        if not why:
            _check_owner(address, uid)
        return RunUser(0, 0, why)  # whoever the engine belongs to, and no more than that outside
    return RunUser(_ORDINARY, _ORDINARY, why) if "userns" in kinds else RunUser(uid, gid, why)


def host_ids() -> tuple[int, int]:
    """Yours on this machine; an ordinary user's where there are no such numbers (Windows)."""
    return (os.getuid(), os.getgid()) if hasattr(os, "getuid") else (_ORDINARY, _ORDINARY)


def _check_owner(address: str, uid: int) -> None:
    socket = Path(urlsplit(address).path)
    if (owner := socket.stat().st_uid) != uid:
        name = pwd.getpwuid(owner).pw_name
        raise EngineError(
            f"The engine at {address} is rootless and belongs to {name}: it cannot mount your files.",
            f"Run trainer as {name}, or name an engine of yours in DOCKER_HOST.",
        )


def closed_to_others(path: Path, *, writes: bool = False) -> Path | None:
    """What of a file or folder another user cannot read, or write: the first found. Looks one level down."""
    for entry in (path, *_first_in(path)):
        mode = entry.stat().st_mode
        needed = stat.S_IROTH | (stat.S_IXOTH if entry.is_dir() else 0) | (stat.S_IWOTH if writes else 0)
        if mode & needed != needed:
            return entry
    return None


def _first_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir() and folder.stat().st_mode & stat.S_IXOTH:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry, _ in zip(entries, range(_LOOKED_AT), strict=False))


def open_to_others(folder: Path) -> None:
    """Let others read what is in a folder; that they do not get there is the care of the one above it."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
