"""The process of the workspace's own tracking server; started by `trainer.server` alone.

`mlflow server` binds one address and starts several processes. This one serves the same application in a
single process on the sockets it was handed, and answers only peers in the networks it was given: a bridge
address of the host can be reached from the local network by whoever adds a route to it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]  # Any: ASGI's own definition of a scope and of a message
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class OnlyFrom:
    """Lets requests from the given networks through to `app`, and adds a header to every answer."""

    def __init__(self, app: App, networks: list[Network], header: tuple[bytes, bytes]) -> None:
        self._app = app
        self._networks = networks
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 says."""

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), self._header]
            await send(message)

        if scope["type"] == "lifespan" or self._is_allowed(scope["client"][0]):
            await self._app(scope, receive, send_named)
        elif scope["type"] == "http":
            await send_named({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"This server is for its own machine alone."})
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_allowed(self, peer: str) -> bool:
        return any(ipaddress.ip_address(peer) in network for network in self._networks)


def main(store: Path, identity: str, descriptors: list[int], hosts: str, networks: list[Network]) -> None:
    """Serve until SIGTERM. The store is made if it is not there; `hosts` is what Host headers may say."""
    from trainer.server import IDENTITY_HEADER

    os.environ.update(
        MLFLOW_SERVER_ALLOWED_HOSTS=hosts,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    # MLflow's import of it, of which no user can do anything; said at every start.
    warnings.filterwarnings("ignore", message=r"starlette\.middleware\.wsgi is deprecated")
    import uvicorn
    from mlflow.server import constants, handlers

    database = f"sqlite:///{store / 'mlflow.db'}"
    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: database,
            constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            constants.ARTIFACTS_DESTINATION_ENV_VAR: str(store / "artifacts"),
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
    )
    handlers.initialize_backend_stores(database, database, "mlflow-artifacts:/")
    from mlflow.server.fastapi_app import app

    guarded = OnlyFrom(app, networks, (IDENTITY_HEADER.encode(), identity.encode()))
    # proxy_headers would let a peer say that it is another one.
    config = uvicorn.Config(guarded, proxy_headers=False, log_level="warning", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=number) for number in descriptors])


if __name__ == "__main__":
    folder, name, numbers, names, nets = sys.argv[1:]
    main(
        Path(folder),
        name,
        [int(number) for number in numbers.split(",")],
        names,
        [ipaddress.ip_network(net) for net in nets.split(",")],
    )
