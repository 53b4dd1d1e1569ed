"""The port that the workspace's own tracking server listens on."""

from __future__ import annotations

import logging
import socket

from trainer.engine.bridge import Bridge
from trainer.errors import TrackingError
from trainer.workspace.settings import Workspace

PORTS_TRIED = 50
_LOG = logging.getLogger(__name__)


def listen(port: int, bridge: Bridge | None) -> tuple[list[socket.socket], int]:
    """Sockets on the first port from `port` on that is free on every address.

    Raises `TrackingError` where none is, or where the port takes root.
    """
    addresses = ["127.0.0.1"] + ([bridge.gateway] if bridge else [])
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        sockets: list[socket.socket] = []
        try:
            sockets.extend(socket.create_server((address, candidate)) for address in addresses)
        except OSError as error:
            for sock in sockets:
                sock.close()
            if isinstance(error, PermissionError):
                raise TrackingError(
                    f"The system lets no ordinary user listen on port {candidate}.",
                    "Specify one from 1024 on: trainer server up --port 5000",
                ) from None
        else:
            if candidate != port:
                _LOG.warning("Port %d is taken: the tracking server is on port %d.", port, candidate)
            return sockets, candidate
    raise TrackingError(
        f"No free port between {port} and {port + PORTS_TRIED - 1} for the workspace's tracking server.",
        "Set server_port in trainer.yaml to another range.",
    )


def free_port(workspace: Workspace, first: int | None = None) -> int:
    """A free port of the loopback: `first` or the setting's, or one of those after it."""
    sockets, port = listen(first or workspace.settings.server_port, None)
    for sock in sockets:
        sock.close()
    return port


def is_own_address(address: str) -> bool:
    """Whether this machine has the address."""
    try:
        socket.create_server((address, 0)).close()
    except OSError:
        return False
    return True
