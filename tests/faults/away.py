"""What the tests of an absent tracking server share: a run that logs something of every kind, and a gate."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlflow import MlflowClient
from support import Result, Site

PORTS = {
    "docker": 5605,
    "local": 5610,
    "gate": 5620,
    "guarded": 5621,
    "engine": 5622,
    "many": 5623,
    "own": 5630,
    "full": 5635,
    "earlier": 5636,
}
STEPS = 40


@dataclass
class StartedRun:
    """A `trainer run` whose script waits for `go`."""

    site: OutageSite
    process: subprocess.Popen[str]
    id: str

    @property
    def folder(self) -> Path:
        """The run's folder on this machine."""
        return self.site.root / ".trainer" / "runs" / self.id

    def go(self) -> None:
        """Let the script log the second half."""
        (self.folder / "spool" / "go").touch()

    def end(self, timeout_s: float = 60) -> Result:
        """How the command ends."""
        out, err = self.process.communicate(timeout=timeout_s)
        return Result(self.process.returncode, out, err)


class OutageSite(Site):
    """A workspace on one backend."""

    def __init__(self, root: Path, port: int, backend: str) -> None:
        super().__init__(root, port)
        self.backend = backend

    def begin(self, *arguments: str, env: dict[str, str] | None = None) -> StartedRun:
        """Start the probe that logs everything, and return when it has logged the first half."""
        before = set(self.leftovers())
        command = ("run", "probe", "--backend", self.backend, "--mode", "log", *arguments)
        process = self.start(*command, env=env)
        assert process.stdout
        for line in process.stdout:
            if line.strip() == "ready":
                [run_id] = set(self.leftovers()) - before
                return StartedRun(self, process, run_id)
        raise AssertionError(process.communicate())

    def server(self, number: signal.Signals) -> None:
        """Send the tracking server a signal."""
        os.kill(json.loads((self.root / ".trainer" / "server.json").read_text())["pid"], number)

    def sync(self, *arguments: str) -> Result:
        """`trainer sync`."""
        return self.trainer("sync", *arguments)


def check_complete(client: MlflowClient, run_id: str, *, status: str = "FINISHED") -> None:
    """Everything that the probe logs is on the server, once."""
    run = client.get_run(run_id)
    assert run.info.status == status
    points = client.get_metric_history(run_id, "loss")
    assert [(p.step, p.value) for p in sorted(points, key=lambda p: p.step)] == [
        (step, 1 / (step + 1)) for step in range(STEPS)
    ]
    assert [len(client.get_metric_history(run_id, key)) for key in ("nan", "inf")] == [1, 1]
    assert run.data.params == {"mode": "log", "colour": "blue"}
    assert run.data.tags["shape"] == "round"
    assert not {"gone", "trainer.undelivered", "trainer.refused"} & set(run.data.tags)
    assert [used.dataset.name for used in run.inputs.dataset_inputs] == ["three"]
    _check_files(client, run_id, str(run.info.experiment_id))
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    assert [(child.info.status, child.data.metrics) for child in children] == [("FINISHED", {"inner": 7})]


def _check_files(client: MlflowClient, run_id: str, experiment_id: str) -> None:
    assert {file.path for file in client.list_artifacts(run_id)} == {"notes", "train.log", "trainer"}
    assert [file.path for file in client.list_artifacts(run_id, "notes")] == ["notes/hello.txt"]
    [output] = client.get_run(run_id).outputs.model_outputs
    models = [m for m in client.search_logged_models([experiment_id]) if m.source_run_id == run_id]
    assert [(m.model_id, m.status, m.params["depth"]) for m in models] == [(output.model_id, "READY", "3")]
    described = client.list_logged_model_artifacts(output.model_id)
    assert "MLmodel" in {file.path for file in described}


@contextlib.contextmanager
def gate(behind: str) -> Iterator[Gate]:
    """Within: a server in front of another one, which lets requests through or answers by itself."""
    said = Gate()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self._chunks()
            if refused := said.refusal(self.path, len(body)):
                status, answer = refused
            else:
                status, answer = self._pass_on(body)
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _pass_on(self, body: bytes) -> tuple[int, bytes]:
            kept = ("content-type", "authorization")
            headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
            asked = urllib.request.Request(behind + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (http.server's names)

        def version_string(self) -> str:
            return said.name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", PORTS["gate"]), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Gate:
    """What the gate answers itself: a status other than 0 to everything, or a page as nginx would."""

    status: int = 0
    name: str = "uvicorn"
    longest: int = 1 << 30
    """Bytes of a body; to more it answers 413."""
    missing: str = "/no/such/route"
    """What is below it gets 404."""

    def refusal(self, path: str, size: int) -> tuple[int, bytes] | None:
        """Status and page, if the gate does not let that request through."""
        if self.status:
            return self.status, b"not now"
        if size > self.longest:
            return 413, _page("413 Request Entity Too Large")
        return (404, _page("404 Not Found")) if self.missing in path else None

    uri = f"http://127.0.0.1:{PORTS['gate']}"


@contextlib.contextmanager
def engine_over_tcp(behind: str) -> Iterator[str]:
    """Within: the engine at the socket `behind` as one on another machine, by the address that is yielded."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, engine = listening.accept()[0], socket.socket(socket.AF_UNIX)
                engine.connect(behind)
                for pair in ((client, engine), (engine, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", PORTS["engine"])) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"tcp://127.0.0.1:{PORTS['engine']}"


def _page(title: str) -> bytes:
    return f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>".encode()
