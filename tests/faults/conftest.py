"""A workspace on the real engine, and tracking servers that misbehave."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests
from sites import client, left_behind, site  # noqa: F401 (fixtures)
from support import Site
from trainer.engine import daemon
from unit.helpers import HttpServer, serving


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test no container of a run is left, and no run is RUNNING."""
    yield
    if "site" not in request.fixturenames:
        return
    site: Site = request.getfixturevalue("site")
    client: docker.DockerClient = request.getfixturevalue("client")
    found = left_behind(site, client)
    running = [run.info.run_id for run in site.runs() if run.info.status == "RUNNING"]
    for run_id in running:
        site.client.set_terminated(run_id, "KILLED")
    assert (found, running) == ([], [])


@pytest.fixture(scope="session")
def port() -> int:
    """Of the workspace's server; these tests run beside those of tests/docker."""
    return 5320


@pytest.fixture(scope="session")
def gateway(client: docker.DockerClient) -> str:
    """This machine's address on the network of containers."""
    bridge = daemon.bridge(client)
    assert bridge
    return bridge.gateway


@pytest.fixture
def stub() -> Iterator[HttpServer]:
    """An HTTP server on 127.0.0.1 that answers as it is told."""
    with serving() as said:
        yield said


Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(address: str, port: int, serve: Serve) -> Iterator[int]:
    """Within: connections to that port (0: a free one) are handed to `serve`, each in a thread of its own."""
    with socket.create_server((address, port)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_served, args=(serve, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _served(serve: Serve, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        serve(connection)


def hang(connection: socket.socket) -> None:
    """Take a request and never answer."""
    while connection.recv(4096):
        pass


def trickle(connection: socket.socket) -> None:
    """Answer one byte a second, which no time-out of a socket notices."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 60:
        connection.sendall(bytes([byte]))
        time.sleep(1)


def forwarded(port: int) -> Serve:
    """To 127.0.0.1 at that port."""

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as onward, selectors.DefaultSelector() as ready:
            ready.register(connection, selectors.EVENT_READ, onward)
            ready.register(onward, selectors.EVENT_READ, connection)
            while True:
                for key, _ in ready.select():
                    source = connection if key.fileobj is connection else onward
                    piece = source.recv(65536)
                    if not piece:
                        return
                    key.data.sendall(piece)

    return serve


def encrypted(certificate: Path, serve: Serve) -> Serve:
    """The same over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve_encrypted(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            serve(inner)

    return serve_encrypted


@contextlib.contextmanager
def mlflow_server(place: Path, port: int, *options: str, host: str = "127.0.0.1") -> Iterator[str]:
    """Within: a stock `mlflow server` on the host, with the options; its address."""
    place.mkdir()
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{place}/mlflow.db",
             "--artifacts-destination", str(place), *options],
            stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
    uri = f"http://{host}:{port}"
    try:
        give_up = time.monotonic() + 60
        while True:
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{uri}/health", timeout=5)
                break
            assert time.monotonic() < give_up, (place / "log").read_text()
            time.sleep(0.1)
        yield uri
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
