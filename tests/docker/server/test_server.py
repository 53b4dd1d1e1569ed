"""The workspace's own tracking server."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests
from support import Site, clean_environment


@pytest.fixture
def fresh(client: docker.DockerClient, tmp_path: Path) -> Iterator[Site]:  # noqa: ARG001
    """A workspace whose server was never started."""
    site = Site(tmp_path / "fresh", port=5400)
    yield site
    site.trainer("server", "down")


def _status(site: Site) -> dict[str, object]:
    payload = json.loads(site.trainer("server", "status", "--json").out)
    assert isinstance(payload, dict)
    return payload


def test_two_at_once_start_one_server(fresh: Site) -> None:
    both = [fresh.start("server", "up", "--process") for _ in range(2)]
    addresses = {process.communicate(timeout=120)[0] for process in both}
    assert addresses == {"http://127.0.0.1:5400\n"}
    assert _servers_of(fresh) == 1


def _servers_of(site: Site) -> int:
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return sum(b"trainer.server.asgi" in command and bytes(site.root) in command for command in commands)


def test_a_taken_port_and_a_server_of_another_workspace(fresh: Site, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 5400)):
        assert fresh.trainer("server", "up", "--process").out == "http://127.0.0.1:5401\n"
    theirs = fresh.trainer("server", "up", "--process").out
    assert theirs == "http://127.0.0.1:5401\n"
    assert site.trainer("server", "up", "--process").out != theirs
    # It keeps its address over a restart, so that links in a browser stay good.
    assert fresh.trainer("server", "down").out == "Stopped.\n"
    assert fresh.trainer("server", "down").out == "It was not running.\n"
    assert fresh.trainer("server", "up", "--process").out == "http://127.0.0.1:5401\n"


def test_its_log_has_no_complaint_that_is_not_the_users(fresh: Site) -> None:
    fresh.trainer("server", "up", "--process")
    log = fresh.trainer("server", "logs").out
    assert "Creating initial MLflow database tables" in log
    assert "Warning" not in log


def test_a_server_that_was_killed_is_started_again(fresh: Site) -> None:
    fresh.trainer("server", "up", "--process")
    process = os.pidfd_open(int(str(_status(fresh)["pid"])))
    signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], 60)  # readable when it has ended
    os.close(process)
    assert _status(fresh)["status"] == "down"  # though server.json still names the process
    fresh.trainer("server", "up", "--process")
    assert _status(fresh)["status"] == "up"


def test_only_this_machine_and_its_containers_get_an_answer(site: Site, client: docker.DockerClient) -> None:
    uri = site.trainer("server", "up", "--process").out.strip()
    port = uri.rpartition(":")[2]
    assert requests.get(f"{uri}/health", timeout=10).ok
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; says which address the way out has
        outward = probe.getsockname()[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((outward, int(port)), timeout=10)
    # A browser page of somebody else cannot talk to it either.
    foreign = requests.get(
        f"{uri}/api/2.0/mlflow/experiments/search", headers={"Host": "evil.example"}, timeout=10
    )
    assert foreign.status_code == 403
    ask = (
        f"import urllib.request as r, urllib.error as e; at = 'http://host.docker.internal:{port}'\n"
        "print(r.urlopen(at + '/health').read())\n"
        "try: r.urlopen(at + '/api/2.0/mlflow/experiments/get?experiment_id=0')\n"
        "except e.HTTPError as problem: print(problem.code)"
    )
    rows = json.loads(site.trainer("images", "--json").out)
    image = next(row["tag"] for row in rows if row["status"] == "up to date")
    told = client.containers.run(
        image, ["python", "-c", ask], remove=True, extra_hosts={"host.docker.internal": "host-gateway"}
    )
    assert told == b"b'OK'\n401\n"


def test_doctor_finds_everything_in_order(site: Site) -> None:
    done = site.trainer("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.out)}
    assert done.code == 0, checks
    assert checks["tracking server from a container"]["status"] == "ok"
    assert checks["MLflow versions"]["found"] == "3.17.2 on the server, in trainer and in every image"
    assert {check["status"] for check in checks.values()} <= {"ok", "warning"}


def test_ui_prints_the_address_of_the_server(site: Site) -> None:
    uri = site.trainer("server", "up", "--process").out.strip()
    shown = site.trainer("ui", "--no-browser")
    assert shown.out == f"{uri}/#/experiments?workflowType=machine_learning\n"
    assert shown.err.endswith("Log in as trainer; `trainer env` prints the password.\n")


def test_mlflows_own_commands_get_in_with_what_env_prints(site: Site, tmp_path: Path) -> None:
    mlflow = Path(sys.executable).with_name("mlflow")
    script = (
        f"source <({sys.executable} -m trainer --workspace {site.root} env) && {mlflow} experiments search"
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Default" in done.stdout
    # The workspace's own commands know the server by these variables too, and start it when it is down.
    site.trainer("server", "down")
    assert site.trainer("runs", env=site.access).code == 0
    assert site.trainer("server", "up", "--process").out.strip() == site.uri


def test_the_servers_password_is_masked_in_a_runs_output(site: Site, tmp_path: Path) -> None:
    command = "import os, pathlib; print(pathlib.Path('~/.mlflow/credentials').expanduser().read_text())"
    (site.root / "train_code" / "curious").mkdir(exist_ok=True)
    (site.root / "train_code" / "curious" / "MLproject").write_text(
        "name: curious\ndocker_env: {image: trainer/sklearn}\n"
        f'entry_points: {{main: {{command: "python -c \\"{command}\\""}}}}\n'
    )
    done = site.trainer("run", "curious")
    assert done.code == 0, done.err
    assert "mlflow_tracking_username = trainer" in done.out
    assert "mlflow_tracking_password = ***" in done.out
    assert site.account[1] not in done.out + done.err + site.log(done.run_id, tmp_path)
