"""The tracking server as a container: what it is made of, and how it is made, started, asked and removed.

A workspace has at most one. Container, network and volume are all called `trainer-server-IDENTITY`. It is
published on this machine's loopback; runs in containers join its network and call it by its name. Its
passwords are in a file on its volume, where neither `docker inspect` nor a backup shows them.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import locks, logs
from trainer.backends.base import shell_variables
from trainer.engine import daemon
from trainer.engine.one_off import private_tar
from trainer.errors import TrackingError
from trainer.locks import Lock
from trainer.server.store_archive import OWNER
from trainer.subprocesses import deferred_signals
from trainer.tracking.endpoint import Network
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

_LOG = logging.getLogger(__name__)
LABEL = "trainer.server"
MEMORY = "1g"
START_S = 90
STOP_S = 10
PORT = 5000
DATA = "/data"
_SECRETS = ".secrets"
_COMMAND = f"set -a; . {DATA}/{_SECRETS}/environment; set +a; exec python -m mlflow_server up"


class StaleContainer(TrackingError):
    """The container cannot be started as it was made: its port is taken, or its network removed."""


@dataclass(frozen=True)
class ContainerState:
    """The container as the engine has it."""

    status: str
    """The engine's word: created, running, restarting, exited, …"""
    image: str
    port: int


def name(workspace: Workspace) -> str:
    """What the engine calls the container, its network and its volume."""
    return f"trainer-server-{workspace.identity}"


def network(workspace: Workspace) -> Network:
    """Where containers reach it."""
    return Network(name(workspace), f"http://{name(workspace)}:{PORT}")


def neighbour(client: docker.DockerClient, port: int) -> Network | None:
    """Where containers reach the server that any workspace has at this port of the engine's machine."""
    with daemon.failures():
        found = client.containers.list(filters={"label": LABEL, "publish": str(port)})
    names = [str(container.name) for container in found]
    return Network(names[0], f"http://{names[0]}:{PORT}") if names else None


def changing(workspace: Workspace) -> Lock:
    """Within: no other process makes, starts, replaces or removes the container. Waits for its turn."""
    return locks.exclusive(workspace.state / "server-container.lock")


def restoring(workspace: Workspace) -> Path:
    """A file that is there while the store is replaced, and after that was interrupted."""
    return workspace.state / "server-restoring"


def find(client: docker.DockerClient, container_name: str) -> ContainerState | None:
    """The container of that name; None if there is none."""
    container = _get(client, container_name)
    if container is None:
        return None
    bindings = container.attrs["HostConfig"]["PortBindings"] or {}
    [binding] = bindings.get(f"{PORT}/tcp") or [{"HostPort": "0"}]
    return ContainerState(container.status, str(container.attrs["Config"]["Image"]), int(binding["HostPort"]))


def create(
    client: docker.DockerClient, workspace: Workspace, image: str, port: int, temporary: str | None = None
) -> None:
    """Make container, network and volume, as far as they are not there; nothing is started.

    `temporary` is a name for the container until it is renamed.
    """
    from docker.errors import NotFound

    container_name, labels = name(workspace), {LABEL: workspace.identity}
    with daemon.failures(), deferred_signals():
        try:
            client.networks.get(container_name)
        except NotFound:
            client.networks.create(container_name, driver="bridge", labels=labels)
        client.volumes.create(container_name, labels=labels)
        client.containers.create(
            image,
            ["sh", "-c", _COMMAND],
            name=temporary or container_name,
            labels={**labels, "trainer.workspace_folder": str(workspace.root)},
            # The name that runs call it by; without it they would get 403.
            environment={"PORT": str(PORT), "ALLOWED_HOSTS": container_name},
            network=container_name,
            ports={f"{PORT}/tcp": ("127.0.0.1", port)},
            volumes={container_name: {"bind": DATA, "mode": "rw"}},
            restart_policy={"Name": "unless-stopped"},  # type: ignore[arg-type]  # the stubs want a count too
            read_only=True,
            tmpfs={"/tmp": "rw,nosuid,nodev"},  # noqa: S108 (the container's own)
            mem_limit=MEMORY,
            memswap_limit=MEMORY,
            pids_limit=256,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )


@contextlib.contextmanager
def made(client: docker.DockerClient, workspace: Workspace, image: str, port: int) -> Iterator[None]:
    """Within: it is made, as by `create`. A failure takes back what of it was not there before."""
    from docker.errors import NotFound

    container_name = name(workspace)
    with daemon.failures():
        kept = {volume.id for volume in client.volumes.list(filters={"name": container_name})}
        kept |= {network.id for network in client.networks.list(names=[container_name])}
    try:
        create(client, workspace, image, port)
        yield
    except BaseException:
        with deferred_signals(drop=True):
            remove(client, container_name)
            for there in (client.networks, client.volumes):
                with daemon.failures(), contextlib.suppress(NotFound):
                    if (found := there.get(container_name)).id not in kept:
                        found.remove()
        raise


def give_secrets(client: docker.DockerClient, container_name: str, variables: Mapping[str, str]) -> None:
    """Put the variables where the container reads them at its next start; for its user alone."""
    files = {f"{_SECRETS}/environment": shell_variables(variables).encode()}
    with daemon.failures():
        client.api.put_archive(container_name, DATA, private_tar(files, OWNER, OWNER))


def start(client: docker.DockerClient, workspace: Workspace) -> None:
    """Start the container and wait until it is healthy; raises `TrackingError` with its last line if not."""
    from docker.errors import APIError

    container_name = name(workspace)
    container = _get(client, container_name)
    if container is None:
        raise TrackingError(f"The container {container_name} is gone.", "Make it again: trainer server up")
    try:
        with daemon.failures():
            try:
                container.start()
            except APIError as error:
                raise _start_failure(container_name, str(error.explanation)) from None
        wait(client, container_name)
    except TrackingError:
        stop(client, container_name)  # else the engine would start it again and again
        raise


def _start_failure(container_name: str, reason: str) -> TrackingError:
    if "port is already allocated" in reason or "address already in use" in reason:
        return StaleContainer("The port of the workspace's tracking server is taken.", "Try again.")
    if "network" in reason and "not found" in reason:
        return StaleContainer(f"The network of the container {container_name} was removed.", "Try again.")
    return TrackingError(
        f"The container {container_name} cannot be started: {reason}", f"docker inspect {container_name}"
    )


def wait(client: docker.DockerClient, container_name: str) -> None:
    """Return when it is healthy; raises `TrackingError` with its last line if it is not."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        state = find(client, container_name)
        if state is None or state.status != "running":
            break
        if _is_healthy(state.port):
            return
        time.sleep(0.2)
    else:
        raise _not_started(f"it gives no answer for {START_S} s.")
    log_lines = b"".join(output(client, container_name, 20)).decode(errors="replace").strip().splitlines()
    raise _not_started(log_lines[-1].strip() if log_lines else "it was killed.")


def _not_started(why: str) -> TrackingError:
    hint = "See all it said: trainer server logs"
    return TrackingError(f"The workspace's tracking server did not start: {why}", hint)


def _is_healthy(port: int) -> bool:
    import requests

    with contextlib.suppress(requests.RequestException), requests.Session() as session:
        logs.answers_to(session, _LOG)
        session.trust_env = False  # a proxy does not know this machine's loopback
        return session.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
    return False


def output(
    client: docker.DockerClient, container_name: str, lines: int, follow: bool = False
) -> Iterator[bytes]:
    """The last `lines` of what it said, both streams, and with `follow` what it says from now on."""
    with daemon.failures():
        container = _get(client, container_name)
        if container is not None:
            log = container.logs(tail=lines, follow=follow, stream=True)
            yield from log


def stop(client: docker.DockerClient, container_name: str) -> bool:
    """Stop it; False if it did not run. It stays stopped when the engine restarts."""
    with daemon.failures():
        container = _get(client, container_name)
        if container is None:
            return False
        ran = container.status in ("running", "restarting", "paused")
        container.stop(timeout=STOP_S)
        return ran


def remove(client: docker.DockerClient, container_name: str) -> None:
    """Remove the container, if it is there; network and volume stay."""
    with daemon.failures():
        container = _get(client, container_name)
        if container is not None:
            container.remove(force=True)


def rename(client: docker.DockerClient, container_name: str, new: str) -> None:
    """Rename the container."""
    with daemon.failures():
        client.api.rename(container_name, new)


def _get(client: docker.DockerClient, container_name: str) -> Container | None:
    from docker.errors import NotFound

    with daemon.failures():
        try:
            return client.containers.get(container_name)
        except NotFound:
            return None
