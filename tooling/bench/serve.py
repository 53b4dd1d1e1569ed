"""`trainer serve` beside `mlflow models serve`: requests a second of 8 clients, p99, memory, first answer.

    python tooling/bench/serve.py [--json] [--record]

A forest of 100 trees is asked for one row at a time, by the same JSON. A small network is asked for one photo
at a time: `trainer serve` gets the JPEG, MLflow its pixels as JSON, which is what it takes. All run at once,
and are asked in turns. MLflow makes an environment for each model, from the package registry; it has this
process's own for the other figures. It takes a local engine (TRAINER_BASE_IMAGE is respected) and minutes.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import click
from bench import serve_models
from bench.ratios import Figures, Goal, finish, median, options, take_turns
from bench.workspaces import BIN, environment

WAYS = {
    "forest_ours": "rows: trainer serve",
    "forest_mlflow": "rows: mlflow models serve",
    "image_ours": "photos: trainer serve, a JPEG",
    "image_mlflow": "photos: mlflow models serve, JSON",
}
CLIENTS = 8
_START_S = 120


@dataclass
class Served:
    """A server, and what it has shown so far."""

    port: int
    pids: Callable[[], Sequence[int]]
    ready_s: float
    request: bytes = b""
    p99: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Of one request."""
    memory_mb: list[float] = field(default_factory=list)


@click.command(help=__doc__)
@options(rounds=5)
@click.option(
    "--port", default=5660, show_default=True, help="Of the first server; the others have the next."
)
@click.option("--seconds", default=6.0, show_default=True, help="Length of a round of one way.")
def main(rounds: int, port: int, seconds: float, *, as_json: bool, record: bool) -> None:
    """Print the table or JSON; exit with 1 where a goal is missed."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as running:
        folder = Path(scratch)
        (folder / "trainer.yaml").touch()
        with tempfile.TemporaryDirectory() as other:
            _, model = serve_models.network(Path(other))
            with _ours(folder, model, port):
                pass  # building the image is no part of a start
        served, own_environment_s = dict[str, Served](), 0.0
        for number, (name, make) in enumerate(
            (("forest", serve_models.forest), ("image", serve_models.network))
        ):
            theirs, ours = make(folder)
            at = port + 2 * number
            served[f"{name}_ours"] = running.enter_context(_ours(folder, ours, at))
            if name == "image":
                with _mlflow(
                    theirs, at + 1, "uv", {"MLFLOW_ENV_ROOT": str(folder / "environments")}
                ) as first:
                    own_environment_s = first.ready_s
            served[f"{name}_mlflow"] = running.enter_context(_mlflow(theirs, at + 1))
        photo = serve_models.photo()
        row = partial(_request, "/invocations", serve_models.row_as_json(), "application/json")
        served["forest_ours"].request = row()
        served["forest_mlflow"].request = row()
        served["image_ours"].request = _request("/predict", photo, "image/jpeg")
        served["image_mlflow"].request = _request(
            "/invocations", serve_models.photo_as_json(photo), "application/json"
        )
        taken = take_turns({way: partial(_round, each, seconds) for way, each in served.items()}, rounds)
    finish(
        Figures("serve", WAYS, taken, _goals(served, taken, own_environment_s), unit="requests a second"),
        as_json=as_json, record=record,
    )  # fmt: skip


def _goals(served: dict[str, Served], taken: dict[str, list[float]], own_environment_s: float) -> list[Goal]:
    first = "photos: seconds to the first answer, trainer / mlflow in an environment of the model's own"
    goals = [Goal(first, served["image_ours"].ready_s / own_environment_s, most=0.25)]
    for name, what, least in (("forest", "rows", 8.0), ("image", "photos", 25.0)):
        ours, theirs = served[f"{name}_ours"], served[f"{name}_mlflow"]
        rate = median(taken[f"{name}_ours"]) / median(taken[f"{name}_mlflow"])
        ratios: dict[str, Callable[[Served], float]] = {
            "p99": lambda each: median(each.p99),
            "memory": lambda each: median(each.memory_mb),
            "seconds to the first answer, without one": lambda each: each.ready_s,
            "CPU time of a request": lambda each: median(each.cpu_ms),
        }
        most = {"p99": 1 / 3, "memory": 0.75}
        goals.append(Goal(f"{what}: requests a second, trainer / mlflow", rate, least=least))
        goals += [
            Goal(f"{what}: {kind}, trainer / mlflow", figure(ours) / figure(theirs), most=most.get(kind))
            for kind, figure in ratios.items()
        ]
        goals += [
            Goal(f"{what}: {kind}, {unit}, {way}", figure(each))
            for way, each in (("trainer", ours), ("mlflow", theirs))
            for kind, unit, figure in (
                ("p99", "ms", ratios["p99"]),
                ("memory", "MB", ratios["memory"]),
                ("first answer", "s", ratios["seconds to the first answer, without one"]),
            )
        ]
    return goals


@contextlib.contextmanager
def _ours(workspace: Path, model: Path, port: int) -> Iterator[Served]:
    trainer = [str(BIN / "trainer"), "serve"]
    name = f"bench-{model.stem}-{port}"
    began = time.monotonic()
    subprocess.run(
        [*trainer, str(model), "--detach", "--port", str(port), "--name", name],
        cwd=workspace, env={**os.environ, **environment()}, check=True, capture_output=True,
    )  # fmt: skip
    ready_s = time.monotonic() - began
    try:
        yield Served(port, partial(_container_pids, name), ready_s)
    finally:
        subprocess.run([*trainer, "stop", name], cwd=workspace, check=True, capture_output=True)


def _container_pids(name: str) -> list[int]:
    found = subprocess.run(
        ["docker", "ps", "--quiet", "--filter", f"label=trainer.serve.name={name}"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    top = subprocess.run(
        ["docker", "top", *found, "-o", "pid"], check=True, capture_output=True, text=True
    ).stdout.split()  # fmt: skip
    return [int(pid) for pid in top[1:]]


@contextlib.contextmanager
def _mlflow(
    model: Path, port: int, manager: str = "local", variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Served]:
    """With this process's own environment, or one that is made for the model first."""
    command = [
        "mlflow",
        "models",
        "serve",
        f"--env-manager={manager}",
        "--model-uri",
        str(model),
        "--port",
        str(port),
    ]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    began = time.monotonic()
    process = subprocess.Popen(
        [str(BIN / command[0]), *command[1:]],
        env={**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", **variables},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        while not _answers(port):
            if process.poll() is not None or time.monotonic() - began > _START_S:
                sys.exit(f"{' '.join(command)} did not start.")
            time.sleep(0.05)
        yield Served(port, lambda: _tree(process.pid), time.monotonic() - began)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        while _answers(port):  # its children end later
            time.sleep(0.1)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
        return _ask(connection, b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200
    return False


def _tree(pid: int) -> list[int]:
    """A process and those that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *(each for child in children.read_text().split() for each in _tree(int(child)))]


def _round(served: Served, seconds: float) -> float:
    """Requests a second of all clients."""
    cpu = _cpu_s(served.pids())
    taken = _load(served.port, served.request, seconds)
    served.p99.append(statistics.quantiles(taken, n=100)[98] * 1000)
    served.cpu_ms.append((_cpu_s(served.pids()) - cpu) / len(taken) * 1000)
    served.memory_mb.append(sum(map(_memory_mb, served.pids())))
    return len(taken) / seconds


def _load(port: int, request: bytes, seconds: float) -> list[float]:
    """The seconds that each request took. One that is refused ends the benchmark."""
    taken, failed, end = list[float](), list[object](), time.monotonic() + seconds

    def client() -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), 60) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while (began := time.monotonic()) < end:
                    status = _ask(connection, request)
                    if status != 200:
                        failed.append(status)
                        return
                    taken.append(time.monotonic() - began)
        except OSError as error:
            failed.append(error)

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    if failed or not taken:
        sys.exit(f"A request to port {port} failed: {failed[:1]}")
    return taken


def _request(path: str, body: bytes, kind: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def _ask(connection: socket.socket, request: bytes) -> int:
    """The status of the answer, which is received as a whole: as little work as a client can have."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].partition(b":")[2]) - len(body)
    while missing > 0:
        missing -= len(_more(connection))
    return int(head.split(maxsplit=2)[1])


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise OSError("the server has closed the connection")
    return part


def _cpu_s(pids: Sequence[int]) -> float:
    """User and system time so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    """Its share of what is in memory; where another user's process does not say, all that it has there."""
    try:
        text, name = Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss"
    except PermissionError:
        text, name = Path(f"/proc/{pid}/status").read_text(), "VmRSS"
    found = re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1000 if found else 0.0


if __name__ == "__main__":
    main()
