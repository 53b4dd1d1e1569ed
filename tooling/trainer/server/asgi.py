"""The process of the workspace's own tracking server; started by `trainer.server.process` alone.

`mlflow server` binds one address and starts several processes. This one serves the same application in a
single process on the sockets it was handed, behind the gate that the server's image has. It answers only
peers in the networks it was given: a bridge address of the host can be reached from the local network by
whoever adds a route to it.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
import sys
import warnings
from pathlib import Path

from mlflow_server.asgi import App, Header, Receive, Scope, Send, answer, with_header
from mlflow_server.bodies import CLOSE

REQUESTS_AT_ONCE = 40
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PeerFilter:
    """Lets requests from the given networks through to `app`, and adds a header to every answer."""

    def __init__(self, app: App, networks: list[Network], header: Header) -> None:
        self._app = app
        self._networks = networks
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 says."""
        send_named = with_header(send, self._header)
        if scope["type"] == "lifespan" or self._is_allowed(scope["client"][0]):
            await self._app(scope, receive, send_named)
        elif scope["type"] == "http":
            await answer(send_named, 403, "This server is for its own machine alone.", CLOSE)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_allowed(self, peer: str) -> bool:
        return any(ipaddress.ip_address(peer) in network for network in self._networks)


def main(
    store: Path, identity: str, password: str, descriptors: list[int], hosts: str, networks: list[Network]
) -> None:
    """Serve until SIGTERM. The store is made if it is not there; `hosts` is what Host headers may say."""
    from mlflow_server.addresses import Addresses
    from mlflow_server.gate import Gate
    from mlflow_server.routes import hide_assistant
    from mlflow_server.store import confine

    from trainer.server.process import IDENTITY_HEADER
    from trainer.workspace.server_password import USERNAME

    def is_right(user: str, said: str) -> bool:
        return hmac.compare_digest(f"{user}:{said}".encode(), f"{USERNAME}:{password}".encode())

    os.umask(0o077)
    os.environ.update(
        MLFLOW_SERVER_ALLOWED_HOSTS=hosts,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    # MLflow's import of it, of which no user can do anything; said at every start.
    warnings.filterwarnings("ignore", message=r"starlette\.middleware\.wsgi is deprecated")
    import uvicorn
    from mlflow.server import constants, handlers

    os.chdir(store)  # paths begin here: in a URI, characters such as the % of a folder above mean others
    database = "sqlite:///mlflow.db"
    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: database,
            constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            constants.ARTIFACTS_DESTINATION_ENV_VAR: "artifacts",
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
    )
    handlers.initialize_backend_stores(database, database, "mlflow-artifacts:/")
    confine("artifacts")
    hide_assistant()
    from mlflow.server.fastapi_app import app

    gate = Gate(app, Addresses(tuple(hosts.split(",")), (), behind_router=False), REQUESTS_AT_ONCE, is_right)
    guarded = PeerFilter(gate, networks, (IDENTITY_HEADER.encode(), identity.encode()))
    # proxy_headers would let a peer say that it is another one.
    config = uvicorn.Config(guarded, proxy_headers=False, log_level="warning", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=number) for number in descriptors])


if __name__ == "__main__":
    folder, name, password_file, numbers, names, nets = sys.argv[1:]
    main(
        Path(folder),
        name,
        Path(password_file).read_text().strip(),
        [int(number) for number in numbers.split(",")],
        names,
        [ipaddress.ip_network(net) for net in nets.split(",")],
    )
