"""What one `mlflow.log_metric` costs a training: over the spool, and over plain HTTP.

    python tooling/bench/log_calls.py [--json] [--record]

It starts a tracking server (SQLite) on the loopback. `relay` is an HTTP server that does nothing but append
the request to a file: the least that a journal on the other side of a connection can cost. Then a training of
some seconds runs with a healthy server, and with one that is killed soon and never comes back. It takes some
minutes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
from bench.ratios import Figures, Goal, finish, median, options, take_turns

WAYS = {
    "http": "plain MLflow over HTTP",
    "async": "the same, asynchronous",
    "relay": "HTTP to a server that only writes a file",
    "spool": "the spool",
}
STEP_S = 0.1


@click.command(help=__doc__)
@options()
@click.option("--port", default=5640, show_default=True, help="Of the server; the relay has the next.")
@click.option("--calls", default=200, show_default=True, help="Calls a round and way.")
@click.option(
    "--outages",
    default=5,
    show_default=True,
    help="Trainings of either kind.",
)
@click.option("--seconds", default=20, show_default=True, help="Length of such a training.")
@click.option("--train", hidden=True, type=int)
def main(
    rounds: int,
    port: int,
    calls: int,
    outages: int,
    seconds: int,
    train: int | None,
    *,
    as_json: bool,
    record: bool,
) -> None:
    """Print the table or JSON; exit with 1 where the figures are not what is promised."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if train:
        _train(_at(port), train)
        return
    with tempfile.TemporaryDirectory() as folder:
        with _serving(Path(folder), port), _relaying(Path(folder), port + 1):
            taken = _costs(Path(folder), port, rounds, calls)
        trainings = {
            "healthy": lambda: _training(Path(folder), port, seconds, killed=False),
            "killed": lambda: _training(Path(folder), port, seconds, killed=True),
        }
        times = {kind: median(took) for kind, took in take_turns(trainings, outages, warm=0).items()}
    cost = {variant: median(figures) for variant, figures in taken.items()}
    goals = [
        Goal("a call over the spool / over HTTP", cost["spool"] / cost["http"], most=1 / 3),
        Goal("a call over the spool / over HTTP, asynchronous", cost["spool"] / cost["async"]),
        Goal(
            f"a training of {seconds} s whose server is killed / with a server",
            times["killed"] / times["healthy"],
            most=1.05,
        ),
    ]
    figures = Figures("log_calls", WAYS, taken, goals, unit="ms a call")
    finish(figures, as_json=as_json, record=record)


def _at(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _costs(folder: Path, port: int, rounds: int, calls: int) -> dict[str, list[float]]:
    """A call's mean milliseconds in each round, by way."""
    from mlflow import MlflowClient

    server, relay = _at(port), _at(port + 1)
    run = MlflowClient(server).create_run("0")
    _register()
    _spool(folder / "spool", run.to_dictionary())
    steps = itertools.count()

    def cost(variant: str, client: MlflowClient) -> float:
        start = time.perf_counter()
        waiting = [
            client.log_metric(run.info.run_id, variant, step / 7, step=step, synchronous=variant != "async")
            for step in itertools.islice(steps, calls)
        ]
        took = (time.perf_counter() - start) / calls * 1000
        for operation in filter(None, waiting):
            operation.wait()
        return took

    places = {"http": server, "async": server, "relay": relay, "spool": f"spool+{server}"}
    return take_turns(
        {variant: partial(cost, variant, MlflowClient(uri)) for variant, uri in places.items()}, rounds
    )


def _training(folder: Path, port: int, seconds: int, *, killed: bool) -> float:
    """The seconds of a training, whose server is killed soon after it has begun."""
    with _serving(folder, port) as server:
        training = subprocess.Popen(
            [sys.executable, __file__, "--port", str(port), "--train", str(seconds)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        if training.stdout is None or training.stdout.readline() != "begun\n":
            raise RuntimeError("the training did not begin")
        time.sleep(1)
        if killed:
            os.killpg(server.pid, signal.SIGKILL)
        return float(training.communicate()[0].split()[-1])


def _train(server: str, seconds: int) -> None:
    """Steps of a fixed length that log a metric each, then a file; prints the seconds."""
    import mlflow

    run = mlflow.MlflowClient(server).create_run("0")
    _register()
    with tempfile.TemporaryDirectory() as folder:
        _spool(Path(folder), run.to_dictionary())
        mlflow.set_tracking_uri(f"spool+{server}")
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
    from trainkit.spool import plugin

    _register("spool+http", plugin.tracking_store)
    _artifact_repository_registry.register("mlflow-artifacts", plugin.artifact_repository)


def _spool(folder: Path, run: dict[str, dict[str, object]]) -> None:
    from trainkit import run_environment
    from trainkit.spool.journal import Spool

    info = {name: value for name, value in run["info"].items() if value is not None}
    Spool(folder).create({"info": info, "data": {}})
    os.environ[run_environment.SPOOL] = str(folder)


@contextlib.contextmanager
def _serving(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Within: MLflow's server answers."""
    import requests

    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
         "--artifacts-destination", str(folder)],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{_at(port)}/health", timeout=5).ok:
                    break
            time.sleep(0.2)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@contextlib.contextmanager
def _relaying(folder: Path, port: int) -> Iterator[None]:
    """Within: a server appends what it is sent to a file and answers at once."""
    journal = (folder / "relay").open("ab", buffering=0)

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

    relay = ThreadingHTTPServer(("127.0.0.1", port), Handler)
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
