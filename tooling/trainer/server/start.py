"""Starting the workspace's container on its port, or on another one where that is taken.

The port of a container is fixed when it is made. So the container is made again, on the same volume and of
the same image; what names its address follows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer import progress
from trainer.engine import daemon
from trainer.errors import EngineError, TrackingError
from trainer.server import container, container_record, ports, store
from trainer.server.container import ContainerState, StaleContainer, name
from trainer.server.process import STARTING
from trainer.subprocesses import deferred_signals
from trainer.tracking.endpoint import LOOPBACK, Server
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

URI = "MLFLOW_TRACKING_URI"
OLD = "-old"  # what the container is called while its successor of an upgrade proves itself
_NEXT = "-next"  # what a container is called until it takes the place of the one before it


def revive(workspace: Workspace, chosen: Server) -> Server:
    """The same server; if it is the workspace's container, it runs from now on and its network is told.


    Raises `EngineError` or `TrackingError` where it cannot be started.
    """
    own = container_record.recorded(workspace)
    if own is None or _port(chosen.uri) != _port(own):
        return chosen
    client = daemon.connect()
    state = container.find(client, name(workspace))
    if state is None or state.status != "running":
        with progress.waiting(STARTING), container.changing(workspace):
            state = _started(client, workspace)
    return replace(chosen, uri=follow(workspace, state), network=container.network(workspace))


def for_containers(server: Server) -> Server:
    """The same server; its network is told if it is another workspace's container on this machine.

    That one listens on loopback alone, where no other container reaches it.
    """
    port = _port(server.uri)
    if server.network or port is None or daemon.is_remote(daemon.endpoint()):
        return server
    try:
        return replace(server, network=container.neighbour(daemon.connect(), port))
    except EngineError:
        return server  # which need not be a container's


def _started(client: docker.DockerClient, workspace: Workspace) -> ContainerState:
    if container.restoring(workspace).exists():
        raise TrackingError(
            "The tracking server's store is being restored, or that was interrupted.",
            "Wait for it; if nothing is at work, `trainer server up` settles it.",
        )
    settle(client, workspace)
    return start(client, workspace)


def start(client: docker.DockerClient, workspace: Workspace, port: int | None = None) -> ContainerState:
    """Start the container and wait until it is healthy; the caller is the only one who changes it.

    It is on `port` then, if that is given, else where it was, or on the next free port. Raises
    `TrackingError` where it does not start.
    """
    state = _get(client, workspace)
    store.check(client, workspace, state)
    free_port = ports.free_port(workspace, port) if port else state.port
    if free_port != state.port:
        _make_again(client, workspace, state.image, free_port)
    try:
        container.start(client, workspace)
    except StaleContainer:
        _make_again(client, workspace, state.image, ports.free_port(workspace, free_port))
        container.start(client, workspace)
    container_record.record_store(workspace, exists=True)
    return _get(client, workspace)


def follow(workspace: Workspace, state: ContainerState) -> str:
    """The container's address, which is written down from now on, in secrets.env too if that named it."""
    before, uri = container_record.recorded(workspace), address(state.port)
    if before != uri:
        container_record.record(workspace, uri)
        if before and secrets.load(workspace).values.get(URI, "").rstrip("/") == before:
            secrets.store(workspace, {URI: uri})
    return uri


def address(port: int) -> str:
    """How this machine reaches the container."""
    return f"http://127.0.0.1:{port}"


def settle(client: docker.DockerClient, workspace: Workspace) -> None:
    """One container is the workspace's, whatever was interrupted while another was to take its place."""
    container_name = name(workspace)
    for other in (container_name + OLD, container_name + _NEXT):
        if container.find(client, other):
            if container.find(client, container_name):
                container.remove(client, other)
            else:
                container.rename(client, other, container_name)


def _make_again(client: docker.DockerClient, workspace: Workspace, image: str, port: int) -> None:
    container_name = name(workspace)
    container.remove(client, container_name + _NEXT)
    container.create(client, workspace, image, port, container_name + _NEXT)
    with deferred_signals():
        container.remove(client, container_name)
        container.rename(client, container_name + _NEXT, container_name)


def _get(client: docker.DockerClient, workspace: Workspace) -> ContainerState:
    state = container.find(client, name(workspace))
    if state is None:
        raise TrackingError(f"The container {name(workspace)} is gone.", "Make it again: trainer server up")
    return state


def _port(uri: str) -> int | None:
    """The port, if the address is one of this machine's own."""
    parts = urlsplit(uri)
    return parts.port if parts.hostname in LOOPBACK else None
