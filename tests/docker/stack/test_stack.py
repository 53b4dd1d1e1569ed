"""`trainer server deploy --platform compose`: the stack as it runs.

Grafana and SeaweedFS cannot be had without a registry: every query of Grafana's dashboard is asked of
Prometheus, and rclone is the S3 server.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import onnx
import pytest
import requests
from stacks import Stack, log_a_run, stack_of, until
from support import REPOSITORY, Site
from unit.model_server import served

CORE = ("mlflow", "database", "model")
TOKEN = "0123456789abcdef-of-the-tests"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("stack") / "site", port=5457)
    served.churn(site.root / "churn.onnx")
    return site


@pytest.fixture(scope="module")
def stack(site: Site, stack_images: dict[str, str]) -> Iterator[Stack]:
    """The core, built and not started, and what watches it."""
    with stack_of(
        site, stack_images, f"stack-tests-{os.getpid()}", "--model", "churn.onnx", "--profile", "observe"
    ) as stack:
        stack.compose("build", "--quiet", *CORE, timeout_s=500)
        yield stack


def test_the_core_is_well_in_a_minute_and_takes_less_than_900_mb(
    stack: Stack, client: docker.DockerClient
) -> None:
    began = time.monotonic()
    stack.compose("up", "--detach", "--wait", *CORE)
    seconds = time.monotonic() - began
    used = 0
    for service in CORE:
        container = client.containers.get(stack.container(service))
        assert container.attrs["State"]["Health"]["Status"] == "healthy"
        figures: Any = container.stats(stream=False)
        used += figures["memory_stats"]["usage"]
    print(f"well in {seconds:.0f} s, {used / 1e6:.0f} MB")
    assert seconds < 60
    assert used < 900e6


def test_what_was_stored_is_there_after_down_and_up(stack: Stack, tmp_path: Path) -> None:
    run_id = log_a_run(stack, tmp_path)
    stack.tracking.create_registered_model("skin")
    stack.tracking.create_model_version("skin", f"runs:/{run_id}/notes.txt", run_id)
    users = f"{stack.url('mlflow')}/api/2.0/mlflow/users"
    account = {"username": "ada", "password": "long-enough-to-be-one"}
    assert requests.post(f"{users}/create", json=account, auth=stack.admin, timeout=10).ok
    row = {"age": 50, "plan": "a"}
    assert requests.post(f"{stack.url('model')}/predict", json=row, timeout=10).ok
    stack.compose("down")
    assert not stack.container("database")
    stack.compose("up", "--detach", "--wait", *CORE)
    assert stack.tracking.get_run(run_id).data.metrics == {"accuracy": 0.75}
    place = Path(stack.tracking.download_artifacts(run_id, "notes.txt", str(tmp_path)))
    assert place.read_text() == "of the run"
    assert stack.tracking.get_model_version("skin", "1").run_id == run_id
    stack.compose("cp", "model:/log", str(tmp_path))
    with contextlib.closing(sqlite3.connect(tmp_path / "log" / "predictions.sqlite")) as log:
        assert log.execute("SELECT class, confidence > 0.5 FROM answers").fetchall() == [("yes", 1)]
    who = requests.get(f"{users}/get?username=ada", auth=("ada", account["password"]), timeout=10)
    assert who.json()["user"]["username"] == "ada"


def test_the_served_model_reaches_nothing_of_the_others(stack: Stack, client: docker.DockerClient) -> None:
    model = client.containers.get(stack.container("model"))
    others = [client.containers.get(stack.container(name)) for name in ("database", "mlflow")]
    addresses = [
        (network["IPAddress"], port)
        for other, port in zip(others, (5432, 5000), strict=True)
        for network in other.attrs["NetworkSettings"]["Networks"].values()
    ]
    script = f"""
import socket
for address in {addresses}:
    try:
        socket.create_connection(address, timeout=1)
        print("reached", address)
    except OSError:
        pass
"""
    code, said = model.exec_run(["python", "-c", script])
    assert (code, said) == (0, b"")
    assert model.attrs["HostConfig"]["ReadonlyRootfs"] is True


def test_no_secret_is_on_a_command_line(stack: Stack, client: docker.DockerClient) -> None:
    secrets = [value for name, value in stack.env.items() if name.endswith(("PASSWORD", "KEY"))]
    for service in CORE:
        container = client.containers.get(stack.container(service))
        said = json.dumps([container.attrs["Config"]["Cmd"], container.top()["Processes"]])
        assert [value for value in secrets if value in said] == []


def test_another_model_is_served_without_a_restart(stack: Stack) -> None:
    before, row = stack.container("model"), {"age": 50, "plan": "a"}
    another = onnx.load(stack.site.root / "churn.onnx")
    another.doc_string = "another"
    (stack.site.root / "next").mkdir()
    onnx.save(another, stack.site.root / "next" / "churn.onnx")
    stack.deploy("--model", "next/churn.onnx")
    answers: list[int] = []

    def asked() -> bool:
        answers.append(requests.post(f"{stack.url('model')}/predict", json=row, timeout=10).status_code)
        return "model_swaps_total 1.0" in requests.get(f"{stack.url('model')}/metrics", timeout=10).text

    until(asked, 20)
    assert set(answers) == {200}
    assert stack.container("model") == before


def expressions() -> list[str]:
    payload = json.loads(
        (REPOSITORY / "tooling/trainer/deploy/compose/files/grafana/dashboards/models.json").read_bytes()
    )
    return [target["expr"] for panel in payload["panels"] for target in panel["targets"]]


def test_prometheus_has_an_answer_to_every_query_of_the_dashboard(stack: Stack) -> None:
    stack.set(MODEL_TOKEN=TOKEN)
    stack.compose("up", "--detach", "--wait", "--timeout", "10", *CORE, "prometheus", "blackbox")
    checked = stack.compose(
        "exec", "prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml"
    )
    assert "SUCCESS" in checked
    rules = stack.compose("exec", "prometheus", "promtool", "check", "rules", "/etc/prometheus/alerts.yml")
    assert "SUCCESS" in rules
    done = threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            while not done.wait(0.1):
                session.post(
                    f"{stack.url('model')}/predict", json={"age": 50, "plan": "a"},
                    headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10,
                )  # fmt: skip

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        missing = [text.replace("$__rate_interval", "20s") for text in expressions()]

        def answered() -> bool:
            missing[:] = [text for text in missing if not has_figures(stack.ask(text))]
            return not missing

        until(answered, 40)
    finally:
        done.set()
        thread.join()
    assert [alert["labels"] for alert in alerts(stack)] == []


def has_figures(series: list[dict[str, Any]]) -> bool:
    return any(each["value"][1] != "NaN" for each in series)


def alerts(stack: Stack) -> list[dict[str, Any]]:
    answer = requests.get(f"{stack.url('prometheus')}/api/v1/alerts", timeout=10).json()
    return list(answer["data"]["alerts"])


def test_what_is_down_is_an_alert(stack: Stack) -> None:
    stack.compose("stop", "--timeout", "5", "model", "mlflow")
    until(
        lambda: (
            {alert["labels"]["alertname"] for alert in alerts(stack)} >= {"ModelDown", "TrackingServerDown"}
        ),
        45,
    )


def test_artifacts_are_in_the_bucket_where_the_stack_has_one(
    site: Site, stack_images: dict[str, str], tmp_path: Path
) -> None:
    with stack_of(site, stack_images, f"stack-tests-s3-{os.getpid()}", "--profile", "s3") as stack:
        stack.compose("up", "--detach", "--build", "--wait")
        run_id = log_a_run(stack, tmp_path)
        stack.compose("down")
        stack.compose("up", "--detach", "--wait")
        found = stack.compose("exec", "s3", "find", "/data/mlflow", "-name", "notes.txt")
        assert run_id in found
        place = Path(stack.tracking.download_artifacts(run_id, "notes.txt", str(tmp_path)))
        assert place.read_text() == "of the run"
