"""How a server begins, works and ends: in time, as the only process, losing nothing that it acknowledged."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import yaml

from tracking_server import containers
from tracking_server.asking import ADMIN, PASSWORD, ask
from tracking_server.containers import FOLDER, SECRET_KEY, Server, docker, patience
from tracking_server.services import Postgres
from tracking_server.training import Client, Refused

A_FOLDER = ("--tmpfs", "/data:mode=1777")
STOP_S = 5
CONNECTIONS = 10


def _heroku(process: str) -> str:
    payload = yaml.safe_load((FOLDER / "heroku.yml").read_text())
    return str(payload["run"][process] if process in payload["run"] else payload[process]["command"][0])


def test_the_platforms_own_command_makes_the_server_process_1_and_the_only_one(database: str) -> None:
    # Heroku runs commands by `/bin/sh -c`, and knows neither HOME nor the user.
    command = ("/bin/sh", "-c", f"unset HOME USER; {_heroku('web')}")
    with containers.serving({"DATABASE_URL": database}, *A_FOLDER, command=command) as server:
        assert server.ready() < containers.READY_S * patience()
        assert server.run("cat", "/proc/1/cmdline").split("\0")[:4] == [
            "python",
            "-m",
            "mlflow_server",
            "web",
        ]
        processes = docker("top", server.name, "-o", "pid").stdout.split()
        assert len(processes) == 2, processes  # the heading, and one
        assert server.memory() < 400 * 2**20
        took, code = server.stop()
        assert code == 0, server.logs()
        assert took < STOP_S


@dataclass
class Load:
    """Clients that log one batch after the other: how many each has logged, and what was raised in them."""

    batches: list[int]
    problems: list[BaseException] = field(default_factory=list)


@contextmanager
def _load(port: int, clients: int) -> Iterator[Load]:
    done = threading.Event()
    load = Load([0] * clients)

    def train(number: int) -> None:
        client = Client(port)
        try:
            run_id = client.new_run()
            while not done.is_set():
                client.log(run_id, "loss", 100 * load.batches[number])
                load.batches[number] += 1
        except (OSError, Refused) as error:
            load.problems.append(error)

    with ThreadPoolExecutor(clients) as pool:
        for number in range(clients):
            pool.submit(train, number)
        try:
            yield load
        finally:
            done.set()


def test_docker_stop_under_load_ends_it_in_time_and_in_order(postgres: Postgres, database: str) -> None:
    with containers.serving({"DATABASE_URL": database}, *A_FOLDER) as server:
        server.ready()
        with _load(server.port, 30) as load:
            connections = []
            give_up = time.monotonic() + 20 * patience()
            # Requests that wait for each other's connections would stand still for 30 s.
            while min(load.batches) < 5 and time.monotonic() < give_up:
                time.sleep(0.25)
                connections.append(postgres.connections(database))
            assert (load.problems, min(load.batches) >= 5) == ([], True)
            assert max(connections) <= CONNECTIONS
            # A request that does not end by itself: an upload whose rest never comes.
            threading.Thread(target=_never_ending_upload, args=(server.port,), daemon=True).start()
            time.sleep(0.5)
            took, code = server.stop()
        assert (code, took < STOP_S) == (0, True), (took, server.logs())


def _never_ending_upload(port: int) -> None:
    client = Client(port)
    with pytest.raises((OSError, Refused)):
        client.send("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/hanging", _Hanging())  # type: ignore[arg-type]


class _Hanging:
    """A body that begins and does not end."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"x" * 2**20
        time.sleep(15)
        raise OSError


def test_a_restart_in_mid_run_loses_nothing_that_was_acknowledged(server: Server) -> None:
    _train_through(server, lambda: docker("restart", server.name))


def test_a_kill_in_mid_run_loses_nothing_that_was_acknowledged_in_sqlite(host: str) -> None:  # noqa: ARG001
    up = ("python", "-m", "mlflow_server", "up")
    with (
        containers.volume() as data,
        containers.serving({}, "--volume", f"{data}:/data", command=up) as server,
    ):
        server.ready(within_s=30)
        _train_through(server, lambda: (docker("kill", server.name), docker("start", server.name)))


def _train_through(server: Server, interrupt: Callable[[], object]) -> None:
    """Log one metric after the other, from a second before the interruption until the server is back."""
    client = Client(server.port)
    run_id = client.new_run()
    acknowledged: list[int] = []
    failures = after = 0
    interruption = threading.Timer(1, interrupt)
    interruption.start()
    give_up = time.monotonic() + 60 * patience()
    while after < 20:
        assert time.monotonic() < give_up, server.logs()
        over = not interruption.is_alive()
        step = len(acknowledged) + failures
        try:
            client.log(run_id, "loss", step, count=1)
        except (OSError, Refused):
            failures += 1
            time.sleep(0.1)
        else:
            acknowledged.append(step)
            after += over
    assert failures, "it was not interrupted"
    assert after < len(acknowledged), "nothing was logged before"
    assert client.steps(run_id, "loss") >= set(acknowledged)


def test_no_secret_is_in_a_command_line_or_in_the_log(server: Server, postgres: Postgres) -> None:
    database = next(
        line.partition("=")[2] for line in server.run("env").splitlines() if line.startswith("DATABASE_URL=")
    )
    name = database.rpartition("/")[2]
    # What makes a server talk: strangers, a database that goes away, a table that is not there.
    ask(f"{server.url}/version", headers={"Host": "evil.example"})
    ask(f"{server.url}/version", account=(ADMIN, "canary-of-a-typo"))
    assert ask(f"{server.url}/graphql", "POST", body="no object").status == 500
    postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert ask(f"{server.url}/api/2.0/mlflow/experiments/get?experiment_id=0").status == 200
    postgres.sql("ALTER TABLE metrics RENAME TO gone", name)
    client = Client(server.port)
    run_id = client.new_run()
    with pytest.raises(Refused):
        client.log(run_id, "loss", 0)
    postgres.sql("ALTER TABLE gone RENAME TO metrics", name)

    arguments = server.run("sh", "-c", "cat /proc/[0-9]*/cmdline")
    log = server.logs()
    assert "Traceback" in log, "nothing went wrong that the server would speak of"
    for secret in (PASSWORD, SECRET_KEY, postgres.owner_password, "canary"):
        assert secret not in arguments
        assert secret not in log, re.findall(f".*{re.escape(secret)}.*", log)
