"""The Docker engine: one connection, and its failures in our words."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from trainer import deadline
from trainer.errors import EngineError
from trainer.server import Bridge

if TYPE_CHECKING:
    import docker

TIMEOUT_S = 60
ANSWER_S = 9
_ANY_VERSION = "1.41"  # a ping is the same in all of them
_START_HINT = (
    "Start it (Docker Desktop, or: sudo systemctl start docker), or run without one: --backend local"
)


class Info(TypedDict):
    """What an engine says of itself and its machine, as much of it as is used here."""

    DockerRootDir: str
    OSType: str
    KernelVersion: str
    Architecture: str
    NCPU: int
    MemTotal: int


def connect() -> docker.DockerClient:
    """A client of the engine that `docker` on the command line would use.

    That is $DOCKER_HOST, else the current context. Raises `EngineError` when it does not answer.
    """
    from docker.errors import DockerException

    address = endpoint()
    try:
        return deadline.within(ANSWER_S, lambda: _client(address))
    except TimeoutError:
        raise EngineError(
            f"The Docker engine at {address} gave no answer in {ANSWER_S} s.",
            "Restart it, or run without one: --backend local",
        ) from None
    except (DockerException, OSError) as problem:
        if "ermission denied" in str(problem):
            raise EngineError(
                f"This user may not use the Docker engine at {address}.",
                "sudo usermod -aG docker $USER, then log in again; or run without it: --backend local",
            ) from None
        raise EngineError(f"No Docker engine answers at {address}.", _START_HINT) from None


def _client(address: str) -> docker.DockerClient:
    import docker

    # Either way the engine is asked, which is the proof that one answers.
    version = "auto" if is_remote(address) else _api_version(address)
    return docker.DockerClient(base_url=address, timeout=TIMEOUT_S, version=version,
                               use_ssh_client=address.startswith("ssh://"))  # fmt: skip


def _api_version(address: str) -> str:
    """By a ping, as the docker command does it: the engine's own account of its version takes it 10 ms."""
    import docker
    import requests
    from docker.errors import DockerException

    with docker.APIClient(base_url=address, timeout=TIMEOUT_S, version=_ANY_VERSION) as asking:
        try:
            answer = asking.get(f"{asking.base_url}/_ping", timeout=TIMEOUT_S)
        except requests.RequestException as problem:
            raise DockerException(str(problem)) from problem
        return answer.headers.get("Api-Version") or "auto"


def endpoint() -> str:
    """The engine's address, e.g. unix:///var/run/docker.sock."""
    import docker
    from docker.errors import DockerException

    if host := os.environ.get("DOCKER_HOST"):
        return host
    with contextlib.suppress(DockerException, OSError):
        context = docker.context.ContextAPI.get_current_context()
        if context is not None and context.Host:
            return str(context.Host)
    return "unix:///var/run/docker.sock"


def is_remote(address: str) -> bool:
    """Whether the engine is on another machine, where this one's files and loopback do not exist."""
    return not address.startswith(("unix://", "npipe://", "http+unix://"))


def info(client: docker.DockerClient) -> Info:
    """Ask the engine, which takes it some 10 ms."""
    with failures():
        return cast(Info, client.info())


def root(said: Info) -> Path | None:
    """Where the engine keeps its files; None if that is another machine."""
    return None if is_remote(endpoint()) else Path(said["DockerRootDir"])


def bridge(client: docker.DockerClient) -> Bridge | None:
    """This host's place on the engine's default network; None where the engine runs in a virtual machine."""
    from docker.errors import NotFound

    try:
        network = client.networks.get("bridge")
    except NotFound:
        return None
    for config in network.attrs.get("IPAM", {}).get("Config") or []:
        if "." in config.get("Subnet", ""):
            gateway = config.get("Gateway") or _first_address(config["Subnet"])
            return Bridge(gateway, config["Subnet"])
    return None


def _first_address(subnet: str) -> str:
    import ipaddress

    return str(next(ipaddress.ip_network(subnet).hosts()))


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Within: what docker-py and the connection raise becomes an `EngineError`."""
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as problem:
        raise EngineError(
            f"The Docker engine refused: {problem.explanation or problem}",
            "See `docker info` and the engine's log.",
        ) from None
    except (DockerException, requests.RequestException, OSError) as problem:
        raise EngineError(
            f"The Docker engine stopped answering: {type(problem).__name__}.",
            "When it is back, `trainer reconcile` ends what was running.",
        ) from None
