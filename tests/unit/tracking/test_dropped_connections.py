"""A server closes a connection that was idle just when it is used again: nobody is to be told of that."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from trainer.tracking import delivery
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.workspace.run_folder import RunFolder
from trainkit.spool.delivery import Delivery
from trainkit.spool.journal import Spool
from trainkit.spool.responses import API, LOG_BATCH
from trainkit.spool.sender import MlflowTransport

ID = "0" * 32
INFO = {
    "run_id": ID, "run_name": "x", "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active",
    "artifact_uri": f"mlflow-artifacts:/1/{ID}/artifacts",
}  # fmt: skip
RUN = {"info": INFO, "data": {}}


@dataclass
class Closing:
    """A server that closes its first connection instead of answering the second request on it."""

    uri: str = ""
    connections: int = 0
    answered: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@pytest.fixture
def closing() -> Iterator[Closing]:
    said = Closing()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        number = requests = 0

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.requests:
                said.connections += 1
                self.number = said.connections
            self.requests += 1
            if (self.number, self.requests) == (1, 2):
                self.close_connection = True
                return
            said.answered.append(self.path.partition("?")[0].removeprefix(API))
            said.bodies.append(body)
            answer = b"3.17.2" if self.path == "/version" else json.dumps({"run": RUN}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 (http.server's)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        said.uri = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield said
        server.shutdown()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "runs" / ID / "spool")
    spool.create({**RUN, "experiment": {"experiment_id": "1", "name": "e"}})
    (tmp_path / "f").write_text("content")
    spool.append({"file": spool.keep(tmp_path / "f", "f"), "uri": INFO["artifact_uri"], "path": ""})
    tag = {"key": "shape", "value": "round"}
    spool.append({"method": "POST", "path": LOG_BATCH, "body": {"run_id": ID, "tags": [tag]}})
    return spool


def test_a_call_is_made_again(closing: Closing, tmp_path: Path) -> None:
    client = Client(Server(closing.uri))
    assert client.version() == "3.17.2"
    (tmp_path / "f").write_text("content")
    client.store("mlflow-artifacts:/1/x/artifacts", tmp_path / "f", "f")
    assert closing.connections == 2
    assert closing.bodies[-1] == b"content"


def test_a_run_is_created_on_a_fresh_connection(closing: Closing) -> None:
    client = Client(Server(closing.uri))
    client.version()
    assert client.create_run("1", None, {}).id == ID
    assert closing.answered == ["/version", "/runs/create"]


def test_a_launcher_delivers_all(closing: Closing, spool: Spool) -> None:
    delivery.deliver(Client(Server(closing.uri)), RunFolder(spool.folder.parent))
    assert not delivery.pending(RunFolder(spool.folder.parent))
    assert closing.answered[-1] == "/runs/log-batch"
    assert not (spool.folder / "marked").exists()


def test_a_run_delivers_all(closing: Closing, spool: Spool) -> None:
    Delivery(spool, MlflowTransport(closing.uri)).deliver()
    assert closing.answered[-1] == "/runs/log-batch"
    assert closing.bodies.count(b"content") == 1
    assert not (spool.folder / "marked").exists()
