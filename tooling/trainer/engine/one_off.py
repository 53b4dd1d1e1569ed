"""A command in a container that is no run: its output, perhaps a file it wrote, and nothing left behind."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

from trainer.engine import daemon, run_user
from trainer.errors import GpuError, RunLost
from trainer.host import living
from trainer.host.gpu import ON_PURPOSE
from trainer.projects.mounts import Mount
from trainer.subprocesses import deferred_signals

if TYPE_CHECKING:
    import docker


# An image's own would be put before the command; an empty list would mean the image's own.
NO_ENTRYPOINT = [""]
LABEL = "trainer.one_off"
"""The container's; the value is the process that made it (`living.is_alive`)."""
NO_NETWORK: Mapping[str, object] = MappingProxyType({"network_mode": "none"})


@dataclass(frozen=True)
class Output:
    """How the command ended and what it wrote. `file` is the content of the one asked for, if it is there."""

    code: int
    out: str
    err: str
    file: bytes | None = None


def run(
    client: docker.DockerClient,
    image: str,
    command: Sequence[str],
    *,
    gpus: str = "none",
    fetch: str | None = None,
    files: bytes | None = None,
    network: Mapping[str, object] = NO_NETWORK,
    environment: Mapping[str, str] = MappingProxyType({}),
    mounts: Sequence[Mount] = (),
) -> Output:
    """Run the command in a container of the image, as a run's user, in /tmp; by default without a network.

    `files` is a tar of what is put into /tmp first, `network` the options of docker-py that say which one;
    `fetch` is the absolute path of a file to bring back. The container is removed whatever happens. Raises
    `EngineError`, and `GpuError` where the engine cannot give it the GPUs.
    """
    from docker.errors import APIError, NotFound
    from docker.types import DeviceRequest
    from docker.types import Mount as EngineMount

    user = run_user.of(client)
    container = None
    with daemon.failures():
        try:
            # A signal in between would leave a container that nobody knows of.
            with deferred_signals():
                container = client.containers.create(
                    image,
                    list(command),
                    entrypoint=NO_ENTRYPOINT,
                    working_dir="/tmp",  # noqa: S108 (the container's own)
                    environment={**environment, "HOME": "/tmp", "MPLCONFIGDIR": "/tmp"},  # noqa: S108
                    user=f"{user.uid}:{user.gid}",
                    mounts=[EngineMount(m.target, m.source, m.kind, read_only=m.read_only) for m in mounts],
                    init=True,
                    labels={LABEL: living.this_process()},
                    cap_drop=["ALL"],
                    security_opt=["no-new-privileges"],
                    device_requests=[DeviceRequest(**request) for request in device_requests(gpus)],
                    **network,  # type: ignore[arg-type]  # docker-py's own options
                )
                if files:
                    container.put_archive("/tmp", files)  # noqa: S108
            try:
                container.start()
            except APIError as error:
                raise start_failure(gpus, error) from None
            code = container.wait()["StatusCode"]
            out, err = (
                container.logs(stdout=out, stderr=not out).decode(errors="replace") for out in (True, False)
            )
            file = None
            with contextlib.suppress(NotFound):
                file = _content(b"".join(container.get_archive(fetch)[0])) if fetch else None
            return Output(code, out, err, file)
        finally:
            if container is not None:
                with deferred_signals(drop=True):
                    container.remove(force=True, v=True)


def _content(archive: bytes) -> bytes | None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        return file.read() if file else None


def private_tar(files: Mapping[str, bytes], uid: int, gid: int) -> bytes:
    """A tar of the files, and of the folders they are in, that nobody but this user may read.

    A name that ends in a slash is a folder. The folder that the tar is unpacked in keeps its owner: the
    engine changes neither that nor its mode.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        paths = [PurePosixPath(f"{name}_" if name.endswith("/") else name) for name in files]
        folders = {str(parent) for path in paths for parent in path.parents}
        for name in sorted(folders - {"."}):
            tar.addfile(_owned(name, tarfile.DIRTYPE, 0o700, uid, gid))
        for name, content in files.items():
            if not name.endswith("/"):
                entry = _owned(name, tarfile.REGTYPE, 0o600, uid, gid)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _owned(name: str, kind: bytes, mode: int, uid: int, gid: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = kind, mode, uid, gid
    return entry


class Devices(TypedDict, total=False):
    """A device request of the engine's API."""

    count: int
    device_ids: list[str]
    capabilities: list[list[str]]


def device_requests(gpus: str) -> list[Devices]:
    """What `docker run --gpus` makes of its argument."""
    capabilities = [["gpu"]]
    if gpus == "none":
        return []
    if gpus.startswith("device="):
        return [{"device_ids": gpus.removeprefix("device=").split(","), "capabilities": capabilities}]
    return [{"count": -1 if gpus == "all" else int(gpus), "capabilities": capabilities}]


def start_failure(gpus: str, error: Exception) -> Exception:
    """What it means that a created container could not be started."""
    text = str(getattr(error, "explanation", "") or error)
    if "could not select device driver" in text:
        return GpuError(
            f"--gpus {gpus}: the Docker engine cannot give a GPU to a container.",
            f"Install the NVIDIA container toolkit on the engine's machine, {ON_PURPOSE}",
        )
    if gpus != "none" and ("nvidia" in text.lower() or "cdi" in text.lower()):
        return GpuError(
            f"--gpus {gpus}: the NVIDIA container toolkit failed: {text.strip()}",
            f"Try `nvidia-smi` on the engine's machine, {ON_PURPOSE}",
        )
    return RunLost(f"The container could not be started: {text}", "See `docker info` and the engine's log.")
