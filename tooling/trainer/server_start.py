"""Starting the workspace's container on its port, or on another one where that is taken.

The port of a container is fixed when it is made. So the container is made again, on the same volume and of
the same image; what names its address follows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainer import engine, secrets, server, server_container, server_store
from trainer.endpoint import LOOPBACK, Server
from trainer.errors import TrackingError
from trainer.process import deferred_signals
from trainer.server_container import Found, Outdated, name
from trainer.workspace import Workspace

if TYPE_CHECKING:
    import docker

URI = "MLFLOW_TRACKING_URI"
OLD = "-old"  # what the container is called while its successor of an upgrade proves itself
_NEXT = "-next"  # what a container is called until it takes the place of the one before it


def revive(workspace: Workspace, chosen: Server) -> Server:
    """The same server; if it is the workspace's container, it runs from now on and its network is told.

    Raises `EngineError` or `TrackingError` where it cannot be started.
    """
    own = server_container.recorded(workspace)
    if own is None or _port(chosen.uri) != _port(own):
        return chosen
    client = engine.connect()
    found = server_container.find(client, name(workspace))
    if found is None or found.status != "running":
        with server_container.changing(workspace):
            found = _started(client, workspace)
    return replace(chosen, uri=follow(workspace, found), network=server_container.network(workspace))


def _started(client: docker.DockerClient, workspace: Workspace) -> Found:
    if server_container.restoring(workspace).exists():
        raise TrackingError(
            "The tracking server's store is being restored, or that was interrupted.",
            "Wait for it; if nothing is at work, `trainer server up` settles it.",
        )
    settle(client, workspace)
    return start(client, workspace)


def start(client: docker.DockerClient, workspace: Workspace, port: int | None = None) -> Found:
    """Start the container and wait until it is healthy; the caller is the only one who changes it.

    It is on `port` then, if that is given, else where it was, or on the next free port. Raises
    `TrackingError` where it does not start.
    """
    found = _get(client, workspace)
    server_store.check(client, workspace, found)
    free = server.free_port(workspace, port) if port else found.port
    if free != found.port:
        _make_again(client, workspace, found.image, free)
    try:
        server_container.start(client, workspace)
    except Outdated:
        _make_again(client, workspace, found.image, server.free_port(workspace, free))
        server_container.start(client, workspace)
    server_container.record_store(workspace, there=True)
    return _get(client, workspace)


def follow(workspace: Workspace, found: Found) -> str:
    """The container's address, which is written down from now on, in secrets.env too if that named it."""
    before, uri = server_container.recorded(workspace), address(found.port)
    if before != uri:
        server_container.record(workspace, uri)
        if before and secrets.load(workspace).values.get(URI, "").rstrip("/") == before:
            secrets.store(workspace, {URI: uri})
    return uri


def address(port: int) -> str:
    """How this machine reaches the container."""
    return f"http://127.0.0.1:{port}"


def settle(client: docker.DockerClient, workspace: Workspace) -> None:
    """One container is the workspace's, whatever was interrupted while another was to take its place."""
    called = name(workspace)
    for other in (called + OLD, called + _NEXT):
        if server_container.find(client, other):
            if server_container.find(client, called):
                server_container.remove(client, other)
            else:
                server_container.rename(client, other, called)


def _make_again(client: docker.DockerClient, workspace: Workspace, image: str, port: int) -> None:
    called = name(workspace)
    server_container.remove(client, called + _NEXT)
    server_container.create(client, workspace, image, port, called + _NEXT)
    with deferred_signals():
        server_container.remove(client, called)
        server_container.rename(client, called + _NEXT, called)


def _get(client: docker.DockerClient, workspace: Workspace) -> Found:
    found = server_container.find(client, name(workspace))
    if found is None:
        raise TrackingError(f"The container {name(workspace)} is gone.", "Make it again: trainer server up")
    return found


def _port(uri: str) -> int | None:
    """The port, if the address is one of this machine's own."""
    parts = urlsplit(uri)
    return parts.port if parts.hostname in LOOPBACK else None
