"""The server itself: MLflow's application behind our gate, in one process that ends when it is told to."""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
from pathlib import Path
from types import FrameType

import uvicorn

from mlflow_server import connection, environment, routes, storage, store
from mlflow_server.asgi import App
from mlflow_server.gate import Gate
from mlflow_server.settings import Settings

GRACE_S = 2  # for requests that are at work when the end is asked for
LAST_S = 3  # after which those that hang are left: `docker stop` kills after 10 s, and loses more
KEEP_ALIVE_S = 95  # longer than a platform's router keeps a connection

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve on PORT until SIGTERM; raises `Refusal` if something is missing."""
    environment.prepare(settings)
    _prepare_folder(settings)
    engine = connection.connect(settings.database)
    from mlflow_server import schema

    schema.verify(engine)
    gate = Gate(_application(settings), settings.addresses, environment.REQUESTS_AT_ONCE, _is_right)
    config = uvicorn.Config(
        gate,
        host="0.0.0.0",  # noqa: S104 - in a container, all its addresses
        port=settings.port,
        proxy_headers=False,  # else a client could say that it is another one
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    log.info("Serving on port %d as %s.", settings.port, ", ".join(settings.addresses.hosts))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _leave(0))  # uvicorn raises it again when all is done
    server = Server(config)
    server.run()
    _leave(0 if server.started else 1)


class Server(uvicorn.Server):  # type: ignore[misc] # mypy is told to skip uvicorn
    """A uvicorn server that cannot be kept from ending by a thread that hangs."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, as uvicorn does, and see to it that the end comes."""
        last = threading.Timer(LAST_S, _leave, (0,))
        last.daemon = True
        last.start()
        super().handle_exit(sig, frame)


def _leave(code: int) -> None:
    """End at once: to take down the interpreter takes 2 s and saves nothing."""
    logging.shutdown()
    os._exit(code)


def _prepare_folder(settings: Settings) -> None:
    if settings.storage.in_bucket:
        return
    folder = Path(settings.storage.destination)
    storage.prepare(folder)
    if folder.is_relative_to(storage.DATA) and not Path(storage.DATA).is_mount():
        log.warning("%s is not a volume: all that is stored there goes with this container.", storage.DATA)


def _application(settings: Settings) -> App:
    from mlflow.server import constants, handlers
    from mlflow.store.db import utils

    # One engine for runs, models and accounts, where MLflow makes one for each: the pool's limit is for all.
    utils.create_sqlalchemy_engine = functools.cache(utils.create_sqlalchemy_engine)
    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: settings.database,
            constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            constants.ARTIFACTS_DESTINATION_ENV_VAR: settings.storage.destination,
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
    )
    handlers.initialize_backend_stores(settings.database, settings.database, "mlflow-artifacts:/")
    store.confine(settings.storage.destination)
    if settings.storage.is_private:
        store.pass_all_through()
    routes.hide_assistant()
    from mlflow.server import auth

    app: App = auth.create_app()
    return app


def _is_right(user: str, password: str) -> bool:
    # The very check that MLflow's routes make next: one cache, which MLflow empties with every change.
    from mlflow.server import auth

    return auth._authenticate_cached(user, password) is not None
