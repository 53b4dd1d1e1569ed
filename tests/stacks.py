"""Stacks that tests run: what is written for docker compose, on images that are built here."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from mlflow import MlflowClient
from support import Site
from trainer.workspace import secrets_file

SERVICES = Path(__file__).parent / "docker" / "stack" / "services"
BASE = os.environ.get("TRAINER_BASE_IMAGE", "python:3.11-slim-bookworm")
IMAGES = {"POSTGRES_IMAGE": "database", "PROMETHEUS_IMAGE": "prometheus", "BLACKBOX_IMAGE": "blackbox",
          "SEAWEEDFS_IMAGE": "s3"}  # fmt: skip


def command(
    *argv: str, env: dict[str, str] | None = None, cwd: Path | None = None, timeout_s: float = 300
) -> str:
    done = subprocess.run(
        argv, env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until(true: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.fixture(scope="session")
def stack_images(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The variables that name what is run in the place of the official images."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        reason = "docker compose is not installed: sudo tooling/docker_engine.sh"
        pytest.fail(reason) if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1" else pytest.skip(reason)
    context = tmp_path_factory.mktemp("services") / "context"
    shutil.copytree(SERVICES, context)
    shutil.copy(shutil.which("rclone") or Path(sys.executable).with_name("rclone"), context)
    tags = {variable: f"trainer-tests-stack-{target}-{os.getuid()}" for variable, target in IMAGES.items()}
    for variable, tag in tags.items():
        build = ("docker", "buildx", "build", "--quiet", "--load", "--build-arg", f"BASE_IMAGE={BASE}")
        command(*build, "--target", IMAGES[variable], "--tag", tag, str(context))
    yield tags
    for tag in tags.values():
        client.images.remove(tag)


@dataclass(frozen=True)
class Stack:
    """A folder that was written, and docker compose in it."""

    site: Site
    name: str
    images: dict[str, str]

    @property
    def folder(self) -> Path:
        return self.site.root / self.name

    @property
    def env(self) -> dict[str, str]:
        return secrets_file.read(self.folder / ".env")

    def deploy(self, *options: str) -> None:
        done = self.site.trainer(
            "server", "deploy", "--platform", "compose", "--app", self.name, "-o", self.name, *options
        )
        assert done.code == 0, done.err
        assert done.err == ""  # compose has read the file with every profile

    def set(self, **values: str) -> None:
        path = self.folder / ".env"
        path.write_bytes(secrets_file.changed(path, path.read_bytes(), values))

    def compose(self, *arguments: str, timeout_s: float = 300) -> str:
        return command("docker", "compose", *arguments, env=self.images, cwd=self.folder, timeout_s=timeout_s)

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).strip()

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.env[f'{service.upper()}_PORT']}"

    @property
    def admin(self) -> tuple[str, str]:
        return self.env["MLFLOW_AUTH_ADMIN_USERNAME"], self.env["MLFLOW_AUTH_ADMIN_PASSWORD"]

    @property
    def tracking(self) -> MlflowClient:
        return MlflowClient(self.url("mlflow").replace("://", "://{}:{}@".format(*self.admin)))

    def ask(self, expression: str) -> list[dict[str, Any]]:
        answer = requests.get(
            f"{self.url('prometheus')}/api/v1/query", params={"query": expression}, timeout=10
        ).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])


@contextlib.contextmanager
def stack_of(site: Site, images: dict[str, str], name: str, *options: str) -> Iterator[Stack]:
    stack = Stack(site, name, images)
    stack.deploy(*options)
    with contextlib.ExitStack() as held:
        for service in ("MLFLOW", "MODEL", "PROMETHEUS", "GRAFANA"):
            port = held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            stack.set(**{f"{service}_PORT": str(port)})
    try:
        yield stack
    finally:
        stack.compose("--profile", "*", "down", "--volumes", "--rmi", "local", "--timeout", "10")


def log_a_run(stack: Stack, folder: Path) -> str:
    (folder / "notes.txt").write_text("of the run")
    client = stack.tracking
    run = client.create_run(client.create_experiment("stack"), run_name="first")
    client.log_metric(run.info.run_id, "accuracy", 0.75)
    client.log_artifact(run.info.run_id, str(folder / "notes.txt"))
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)
