"""The tracking server's image, run as plain Docker runs it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tracking_server.asking import ADMIN, PASSWORD, ask

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "mlflow_tracking_server"
IMAGE = "trainer-contract-server"
NETWORK = "trainer-contract-net"
PORTS = range(5640, 5700)  # those below are the ones of tests/faults
SECRET_KEY = "canary-key-4b1d7c"
READY_S = 20
WEB = ("python", "-m", "mlflow_server", "web")
RELEASE = ("python", "-m", "mlflow_server", "release")
LIMITS = ("--memory", "512m", "--memory-swap", "512m", "--cpus", "1")
STRANGER = "48213:48213"  # a uid that is in no passwd
ACCOUNT = {
    "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
    "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
    "MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET_KEY,
}


def strict(user: str = STRANGER) -> tuple[str, ...]:
    """No disk but what is mounted, and the limits of a small dyno: the strictest of what platforms do."""
    return ("--user", user, "--read-only", "--tmpfs", "/tmp", *LIMITS)


class CannotRun(Exception):
    """Why there is no engine, no PostgreSQL or no S3 server here."""


def docker(
    *arguments: str, check: bool = True, timeout_s: float = 120, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the docker client; its output is text."""
    done = subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=timeout_s
    )
    if check and done.returncode:
        raise AssertionError(f"docker {arguments[0]}: {done.stderr}")
    return done


def free_port() -> int:
    """A port of this machine's loopback that nobody listens on."""
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)):
                return port
    raise CannotRun(f"no free port in {PORTS}")


@dataclass
class Server:
    """A container of the image that serves, or did."""

    name: str
    port: int
    started: float = field(default_factory=time.monotonic)

    @property
    def url(self) -> str:
        """Where it is reached from this machine."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self, within_s: float = READY_S) -> float:
        """Wait until it is healthy; the seconds since it was started."""
        while time.monotonic() - self.started < within_s * patience():
            try:
                if ask(f"{self.url}/health", account=None).status == 200:
                    return time.monotonic() - self.started
            except OSError:
                time.sleep(0.1)
            if not self.inspect("{{.State.Running}}").startswith("true"):
                break
        raise AssertionError(f"{self.name} is not healthy:\n{self.logs()}")

    def inspect(self, template: str) -> str:
        """What the engine knows about the container."""
        return docker("inspect", "--format", template, self.name).stdout.strip()

    def logs(self) -> str:
        """All that it said."""
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def run(self, *command: str) -> str:
        """The output of a command inside."""
        return docker("exec", self.name, *command).stdout

    def memory(self) -> int:
        """The bytes that the container uses, without the page cache."""
        stats = json.loads(_engine(f"/containers/{self.name}/stats?stream=false&one-shot=true"))[
            "memory_stats"
        ]
        inactive = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
        return int(stats["usage"] - inactive)

    def stop(self) -> tuple[float, int]:
        """`docker stop`: the seconds that it took, and the exit code."""
        began = time.monotonic()
        docker("stop", self.name)
        return time.monotonic() - began, int(self.inspect("{{.State.ExitCode}}"))


def _engine(path: str) -> str:
    # The docker client's own `stats` rounds, and takes two seconds.
    return subprocess.run(
        ["curl", "-sf", "--unix-socket", "/var/run/docker.sock", f"http://engine{path}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def patience() -> float:
    """How many times longer things take on this machine now than they would on a quiet one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def serving(
    environment: Mapping[str, str],
    *options: str,
    command: tuple[str, ...] = WEB,
    image: str = IMAGE,
    limits: tuple[str, ...] | None = None,
) -> Iterator[Server]:
    """A server on a port of its own, gone at the end."""
    server = Server(f"trainer-contract-{secrets.token_hex(4)}", free_port())
    variables = {**ACCOUNT, "PORT": str(server.port), **environment}
    with _env_file(variables) as file:
        docker(
            "run", "--detach", "--name", server.name, "--network", NETWORK, "--env-file", file,
            *(strict() if limits is None else limits),
            "--publish", f"127.0.0.1:{server.port}:{server.port}", *options, image, *command,
        )  # fmt: skip
    try:
        yield server
    finally:
        docker("rm", "--force", "--volumes", server.name)


def once(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    *options: str,
    user: str = STRANGER,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command of the image to its end."""
    name = f"trainer-contract-{secrets.token_hex(4)}"
    with _env_file({**ACCOUNT, **environment}) as file:
        try:
            return docker(
                "run", "--name", name, "--network", NETWORK, "--env-file", file, *strict(user), *options,
                IMAGE, *command, check=False, stdin=stdin,
            )  # fmt: skip
        finally:
            docker("rm", "--force", "--volumes", name, check=False)


@contextmanager
def _env_file(variables: Mapping[str, str]) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".env") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
        file.flush()
        yield file.name


@contextmanager
def volume() -> Iterator[str]:
    """A new volume's name."""
    name = f"trainer-contract-{secrets.token_hex(4)}"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)


def gateway() -> str:
    """The address that this machine has on the tests' network, which is made if it is not there."""
    if docker("network", "inspect", NETWORK, check=False).returncode:
        docker("network", "create", NETWORK)
    return docker(
        "network", "inspect", NETWORK, "--format", "{{(index .IPAM.Config 0).Gateway}}"
    ).stdout.strip()
