"""What one `mlflow.log_metric` costs a training: over the spool, and over plain HTTP.

    .venv/bin/python tooling/bench/log_calls.py

It starts a tracking server (SQLite) on the loopback and takes some minutes. The ways take turns in every
round, so that other work on the machine meets all of them. `relay` is an HTTP server that does nothing but
append the request to a file: the least that a journal on the other side of a connection can cost. Then a
training of some seconds runs with a healthy server, and with one that is killed soon and never comes back. It
exits with 1 when a call over the spool costs more than a third of one over HTTP, or when the training of the
outage takes more than 1.05 times as long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
from bench.ratios import Figures, Goal, finish, median, options

PORT, RELAY_PORT = 5640, 5641
SERVER, RELAY = f"http://127.0.0.1:{PORT}", f"http://127.0.0.1:{RELAY_PORT}"
WAYS = {
    "http": "plain MLflow over HTTP",
    "async": "the same, asynchronous",
    "relay": "HTTP to a server that only writes a file",
    "spool": "the spool",
}
STEP_S = 0.1


@click.command(help=__doc__)
@options
@click.option("--calls", default=200, show_default=True, help="Calls a round and way.")
@click.option("--outages", default=3, show_default=True, help="Trainings with, and without, a server.")
@click.option("--seconds", default=20, show_default=True, help="Length of such a training.")
@click.option("--train", hidden=True, type=int)
def main(
    rounds: int, calls: int, outages: int, seconds: int, train: int | None, *, as_json: bool, record: bool
) -> None:
    """Print the table or JSON; exit with 1 where the figures are not what is promised."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if train:
        _train(train)
        return
    with tempfile.TemporaryDirectory() as place:
        with _serving(Path(place)), _relaying(Path(place)):
            taken = _costs(Path(place), rounds, calls)
        times = _outages(Path(place), outages, seconds)
    cost = {way: median(figures) for way, figures in taken.items()}
    goals = [
        Goal("a call over the spool / over HTTP", cost["spool"] / cost["http"], most=1 / 3),
        Goal("a call over the spool / over HTTP, asynchronous", cost["spool"] / cost["async"]),
        Goal(
            "a training whose server is killed / with a server", times["killed"] / times["healthy"], most=1.05
        ),
    ]
    figures = Figures("log_calls", WAYS, taken, goals, unit="ms a call")
    finish(figures, as_json=as_json, record=record)


def _costs(place: Path, rounds: int, calls: int) -> dict[str, list[float]]:
    """A call's mean milliseconds in each round, by way."""
    from mlflow import MlflowClient

    plain, clients = MlflowClient(SERVER), {}
    run = plain.create_run("0")
    _register()
    _spool(place / "spool", run.to_dictionary())
    for way, uri in {"http": SERVER, "async": SERVER, "relay": RELAY, "spool": f"spool+{SERVER}"}.items():
        clients[way] = MlflowClient(uri)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way, client in clients.items():
            start = time.perf_counter()
            waiting = [
                client.log_metric(run.info.run_id, f"{way}", step / 7, step=number * calls + step,
                                  synchronous=way != "async")
                for step in range(calls)
            ]  # fmt: skip
            taken = (time.perf_counter() - start) / calls * 1000
            for operation in filter(None, waiting):
                operation.wait()
            if number:  # the first round warms up
                found[way].append(taken)
    return found


def _outages(place: Path, outages: int, seconds: int) -> dict[str, float]:
    """The median seconds of a training with a server, and with one that is killed."""
    found: dict[str, list[float]] = {"healthy": [], "killed": []}
    for _ in range(outages):
        for kind, times in found.items():
            with _serving(place) as server:
                training = subprocess.Popen(
                    [sys.executable, __file__, "--train", str(seconds)],
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                )  # fmt: skip
                if training.stdout is None or training.stdout.readline() != "begun\n":
                    raise RuntimeError("the training did not begin")
                time.sleep(1)
                if kind == "killed":
                    os.killpg(server.pid, signal.SIGKILL)
                times.append(float(training.communicate()[0].split()[-1]))
    return {kind: median(times) for kind, times in found.items()}


def _train(seconds: int) -> None:
    """Steps of a fixed length that log a metric each, then a file; prints the seconds."""
    import mlflow

    plain = mlflow.MlflowClient(SERVER)
    run = plain.create_run("0")
    _register()
    with tempfile.TemporaryDirectory() as place:
        _spool(Path(place), run.to_dictionary())
        mlflow.set_tracking_uri(f"spool+{SERVER}")
        start = time.perf_counter()
        with mlflow.start_run(run.info.run_id):
            click.echo("begun")
            for step in range(int(seconds / STEP_S)):
                time.sleep(STEP_S)
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            mlflow.log_text("done", "note.txt")
        click.echo(time.perf_counter() - start)


def _register() -> None:
    """As trainkit's entry points do where it is installed by itself, in an image."""
    from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
    from mlflow.tracking._tracking_service.utils import _register
    from trainkit import spool_plugin

    _register("spool+http", spool_plugin.tracking_store)
    _artifact_repository_registry.register("mlflow-artifacts", spool_plugin.artifact_repository)


def _spool(folder: Path, run: dict[str, dict[str, object]]) -> None:
    from trainkit.spool_journal import VARIABLE, Spool

    info = {name: value for name, value in run["info"].items() if value is not None}
    Spool(folder).create({"info": info, "data": {}})
    os.environ[VARIABLE] = str(folder)


@contextlib.contextmanager
def _serving(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Within: MLflow's server answers."""
    import requests

    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(PORT),
         "--workers", "1", "--backend-store-uri", f"sqlite:///{place}/mlflow.db",
         "--artifacts-destination", str(place)],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{SERVER}/health", timeout=5).ok:
                    break
            time.sleep(0.2)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@contextlib.contextmanager
def _relaying(place: Path) -> Iterator[None]:
    """Within: a server appends what it is sent to a file and answers at once."""
    journal = (place / "relay").open("ab", buffering=0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            journal.write(self.rfile.read(int(self.headers["Content-Length"])) + b"\n")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    relay = ThreadingHTTPServer(("127.0.0.1", RELAY_PORT), Handler)
    relay.daemon_threads = True
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        relay.shutdown()
        relay.server_close()
        journal.close()


if __name__ == "__main__":
    main()
