"""Our tracking server in 512 MB beside stock `mlflow server --app-name basic-auth` without a limit.

    python tooling/bench/tracking_server.py [--json] [--quick]

Both are of one image and have a PostgreSQL database of their own, in one cluster that is made for this and
gone afterwards. It takes an engine, the image's base (TRAINER_BASE_IMAGE), PostgreSQL and some minutes.
"""

from __future__ import annotations

import json
import os
import queue
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from tracking_server import containers, services
from tracking_server.containers import Server, docker
from tracking_server.services import Postgres
from tracking_server.training import Client, Refused

EXPERIMENT = "/api/2.0/mlflow/experiments/get?experiment_id=0"
PACE_S = 10
WORKERS = 64  # that send the paced runs' batches; more than are ever on their way with a p99 under 1 s
LEVELS = range(100, 601, 50)


@dataclass(frozen=True)
class SentRequests:
    """What became of requests; seconds."""

    count: int
    errors: int
    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Result:
    """One server's figures. Memory in MB, without the page cache."""

    ready_s: float
    idle_mb: float
    requests: SentRequests
    hundred_runs: SentRequests
    busy_mb: float
    connections: int
    paced_runs: int
    paced_p99: dict[int, float]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--quick", is_flag=True, help="A fifth of the time, for a first look.")
def main(as_json: bool, quick: bool) -> None:
    """Measure both servers, one after the other, and print what they do."""
    base = os.environ.get("TRAINER_BASE_IMAGE", "python:3.11-slim-bookworm")
    docker(
        "build", "--quiet", "--tag", containers.IMAGE, "--build-arg", f"BASE_IMAGE={base}",
        str(containers.FOLDER), timeout_s=900,
    )  # fmt: skip
    seconds = 6.0 if quick else 30.0
    results: dict[str, Result] = {}
    with services.postgres(containers.gateway(), "max_connections=200") as cluster:
        for name, start in (("ours", _ours), ("stock", _stock)):
            url = cluster.database()
            with start(url) as server:
                results[name] = _measure(server, cluster, url, seconds, name == "ours")
    docker("network", "rm", containers.NETWORK)
    if as_json:
        click.echo(json.dumps({name: asdict(result) for name, result in results.items()}, indent=2))
    else:
        click.echo(_table(results))


@contextmanager
def _ours(url: str) -> Iterator[Server]:
    done = containers.once(containers.RELEASE, {"DATABASE_URL": url})
    if done.returncode:
        raise click.ClickException(done.stderr)
    with containers.serving({"DATABASE_URL": url}, "--tmpfs", "/data:mode=1777") as server:
        yield server


@contextmanager
def _stock(url: str) -> Iterator[Server]:
    script = (
        "exec mlflow server --app-name basic-auth --host 0.0.0.0 --port $PORT --backend-store-uri $STORE"
        " --artifacts-destination /tmp/artifacts --allowed-hosts '*'"
    )
    store = url.replace("postgres://", "postgresql+psycopg2://")
    with containers.serving({"STORE": store}, command=("sh", "-c", script), limits=()) as server:
        yield server


def _measure(server: Server, cluster: Postgres, url: str, seconds: float, paced: bool) -> Result:
    ready_s = server.ready(within_s=120)
    time.sleep(seconds / 3)
    idle = server.memory()
    with _sampled(lambda: cluster.connections(url)) as connections, _sampled(lambda: server.memory()) as busy:
        requests = _as_fast_as_possible(server.port, 8, seconds / 2, _one_request)
        hundred = _as_fast_as_possible(server.port, 100, seconds, _one_batch)
        p99 = _paced(server.port, seconds) if paced else {}
    return Result(
        ready_s=ready_s,
        idle_mb=idle / 2**20,
        requests=requests,
        hundred_runs=hundred,
        busy_mb=max(busy) / 2**20,
        connections=max(connections),
        paced_runs=max((level for level, latency in p99.items() if latency < 1), default=0),
        paced_p99=p99,
    )


def _one_request(client: Client, _: str, __: int) -> None:
    client.send("GET", EXPERIMENT)


def _one_batch(client: Client, run_id: str, number: int) -> None:
    client.log(run_id, "loss", 100 * number)


def _as_fast_as_possible(
    port: int, clients: int, seconds: float, act: Callable[[Client, str, int], None]
) -> SentRequests:
    """Each client does one thing after the other, over its own connection and in a run of its own."""
    began, took, errors = time.monotonic(), [], []

    def work() -> None:
        client = Client(port)
        number = 0
        run_id = ""
        while time.monotonic() < began + seconds:
            start = time.monotonic()
            try:
                run_id = run_id or client.new_run()
                act(client, run_id, number)
            except (OSError, Refused) as error:
                errors.append(error)
                time.sleep(0.1)
            else:
                took.append(time.monotonic() - start)
            number += 1

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(work) for _ in range(clients)]:
            done.result()
    return _sent(took, len(errors), time.monotonic() - began)


def _paced(port: int, seconds: float) -> dict[int, float]:
    """The p99 for more and more runs, each of which logs one batch every 10 s; ends with the first over 1 s.

    A batch's time counts from when it was due, so that a server that falls behind is seen to.
    """
    p99: dict[int, float] = {}
    maker = Client(port)
    runs: list[str] = []
    for level in LEVELS:
        runs += [maker.new_run() for _ in range(level - len(runs))]
        p99[level] = _one_level(port, runs, seconds).p99
        if p99[level] >= 1:
            break
    return p99


def _one_level(port: int, runs: list[str], seconds: float) -> SentRequests:
    due: queue.SimpleQueue[tuple[float, str, int]] = queue.SimpleQueue()
    rounds = max(1, round(seconds / PACE_S))
    began = time.monotonic()
    for number in range(rounds):
        for index, run_id in enumerate(runs):
            due.put((began + PACE_S * (number + index / len(runs)), run_id, number))
    took: list[float] = []
    errors: list[Exception] = []

    def work() -> None:
        client = Client(port)
        while True:
            try:
                when, run_id, number = due.get_nowait()
            except queue.Empty:
                return
            time.sleep(max(0.0, when - time.monotonic()))
            try:
                client.log(run_id, "loss", 100 * number)
            except (OSError, Refused) as error:
                errors.append(error)
            took.append(time.monotonic() - when)

    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work) for _ in range(WORKERS)]:
            done.result()
    if errors:
        raise click.ClickException(f"{len(errors)} of {rounds * len(runs)} batches: {errors[0]}")
    return _sent(took, len(errors), time.monotonic() - began)


def _sent(took: list[float], errors: int, seconds: float) -> SentRequests:
    cuts = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return SentRequests(len(took), errors, len(took) / seconds, cuts[49], cuts[98])


@contextmanager
def _sampled(value: Callable[[], int]) -> Iterator[list[int]]:
    """The values of every half second meanwhile."""
    values = [value()]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.5):
            values.append(value())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield values
    finally:
        done.set()
        thread.join()


def _table(results: dict[str, Result]) -> str:
    def sent(what: SentRequests) -> str:
        return f"{what.per_second:.1f}/s, p99 {what.p99:.2f} s, {what.errors} errors"

    rows: list[tuple[str, Callable[[Result], str]]] = [
        ("ready after", lambda result: f"{result.ready_s:.1f} s"),
        ("memory, idle", lambda result: f"{result.idle_mb:.0f} MB"),
        ("memory, busiest", lambda result: f"{result.busy_mb:.0f} MB"),
        ("requests, 8 clients", lambda result: sent(result.requests)),
        ("batches of 100, 100 runs", lambda result: sent(result.hundred_runs)),
        ("database connections", lambda result: str(result.connections)),
        ("paced runs, p99 < 1 s", lambda result: str(result.paced_runs or "not tried")),
    ]
    lines = [f"{'':26}{'ours, 512 MB, 1 CPU':38}stock, no limit"]
    lines += [f"{name:26}{show(results['ours']):38}{show(results['stock'])}" for name, show in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
