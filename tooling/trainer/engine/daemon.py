"""The Docker engine: one connection, and its failures in our words."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from trainer import concurrency, logs
from trainer.engine import context
from trainer.engine.bridge import Bridge
from trainer.engine.context import Endpoint, Tls
from trainer.errors import DiskFull, EngineError

if TYPE_CHECKING:
    import docker
    from docker.tls import TLSConfig

_LOG = logging.getLogger(__name__)
TIMEOUT_S = 60
ANSWER_S = 9
_ANY_VERSION = "1.41"  # a ping is the same in all of them
_START_HINT = "Start it (Docker Desktop, or: sudo systemctl start docker)"


class EngineUnavailable(EngineError):
    """No Docker engine can be used at all. The hint goes on where the command can do without one."""

    def with_alternative(self, how: str) -> EngineUnavailable:
        """The same, for a command that can."""
        return EngineUnavailable(self.message, f"{self.hint}, or run without one: {how}")


class _Part(TypedDict):
    Name: str
    Version: str


class Info(TypedDict):
    """What an engine says of itself and its machine, as much of it as is used here."""

    DockerRootDir: str
    OSType: str
    KernelVersion: str
    Architecture: str
    NCPU: int
    MemTotal: int
    SecurityOptions: list[str]
    MemoryLimit: bool
    CPUSet: bool


def connect() -> docker.DockerClient:
    """A client of the engine that `docker` on the command line would use.

    That is $DOCKER_HOST, else the current context. Raises `EngineError` when it does not answer.
    """
    from docker.errors import DockerException

    endpoint = context.current()
    _LOG.info("Docker engine: %s", endpoint.address)
    try:
        return concurrency.call_with_timeout(ANSWER_S, lambda: _client(endpoint))
    except TimeoutError:
        raise EngineUnavailable(
            f"The Docker engine at {endpoint.address} gave no answer in {ANSWER_S} s.", "Restart it"
        ) from None
    except (DockerException, OSError) as error:
        raise _no_answer(endpoint, str(error)) from None
    except (AttributeError, TypeError, ValueError):  # what docker-py makes of an address that is none
        raise context.no_address(endpoint.address) from None


def _no_answer(endpoint: Endpoint, reason: str) -> EngineError:
    if "ermission denied" in reason:
        return EngineUnavailable(
            f"This user may not use the Docker engine at {endpoint.address}.",
            "sudo usermod -aG docker $USER, then log in again",
        )
    if "to an HTTPS server" in reason:
        return EngineError(
            f"The Docker engine at {endpoint.address} accepts only TLS connections.",
            "Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a context that has its certificates.",
        )
    if ssl_error := re.search(r"\[SSL[^]]*\] ?([^()]*)", reason):
        return EngineError(
            f"TLS with the Docker engine at {endpoint.address} fails: {ssl_error.group(1).strip()}.",
            "Compare what `docker version` says; ca.pem, cert.pem and key.pem have to be that engine's.",
        )
    return EngineUnavailable(f"No Docker engine answers at {endpoint.address}.", _START_HINT)


def _client(endpoint: Endpoint) -> docker.DockerClient:
    import docker

    # Either way the engine is asked, which is the proof that one answers.
    is_pinged = endpoint.tls or not is_remote(endpoint.address)
    client = docker.DockerClient(
        base_url=endpoint.address, timeout=TIMEOUT_S, version=_api_version(endpoint) if is_pinged else "auto",
        tls=_tls(endpoint.tls), use_ssh_client=endpoint.address.startswith("ssh://"),
    )  # fmt: skip
    _trust(client.api, endpoint.tls)
    logs.answers_to(client.api, _LOG)
    return client


def _tls(tls: Tls | None) -> TLSConfig | bool:
    from docker.tls import TLSConfig

    if tls is None:
        return False
    cert = (str(tls.cert), str(tls.key)) if tls.cert and tls.key else None
    return TLSConfig(cert, str(tls.ca) if tls.ca else None, verify=tls.verify)


def _trust(api: docker.APIClient, tls: Tls | None) -> None:
    """The engine's own authority, in whose place requests would take $REQUESTS_CA_BUNDLE."""
    import requests.utils
    import urllib3

    if tls is None:
        return
    api.proxies.update(requests.utils.get_environ_proxies(api.base_url))
    api.trust_env = False
    if not tls.verify:  # which the user has said; `docker` does not warn either
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _api_version(endpoint: Endpoint) -> str:
    """By a ping, as the docker command does it: the engine's own account of its version takes it 10 ms."""
    import docker
    import requests
    from docker.errors import DockerException

    with docker.APIClient(
        base_url=endpoint.address, timeout=TIMEOUT_S, version=_ANY_VERSION, tls=_tls(endpoint.tls)
    ) as asking:
        _trust(asking, endpoint.tls)
        try:
            answer = asking.get(f"{asking.base_url}/_ping", timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise DockerException(str(error)) from error
        return answer.headers.get("Api-Version") or "auto"


def endpoint() -> str:
    """The engine's address, e.g. unix:///var/run/docker.sock. Raises `EngineError` for a missing context."""
    return context.current().address


def is_remote(address: str) -> bool:
    """Whether the engine is on another machine, where this one's files and loopback do not exist."""
    return not address.startswith(("unix://", "npipe://", "http+unix://"))


@functools.cache
def info(client: docker.DockerClient) -> Info:
    """Ask the engine, once: it takes it some 10 ms."""
    with failures():
        return cast(Info, client.info())


def product(client: docker.DockerClient) -> str:
    """What answers, by name and version: Docker's API is also that of others, as Podman."""
    with failures():
        version = client.version()
    parts = cast(
        list[_Part], version.get("Components") or [{"Name": "Engine", "Version": version["Version"]}]
    )
    name = parts[0]["Name"].removesuffix(" Engine").replace("Engine", "Docker")
    return f"{name} {parts[0]['Version']}"


def has_buildkit(client: docker.DockerClient) -> bool:
    """Whether the engine builds images itself; for another one buildx starts BuildKit in a container."""
    with failures():
        return client.api.get(f"{client.api.base_url}/_ping").headers.get("Builder-Version") == "2"


def kinds(client: docker.DockerClient) -> frozenset[str]:
    """What it says of its security: `rootless`, `userns` (it remaps user ids), `seccomp`, …"""
    options = info(client)["SecurityOptions"]
    return frozenset(option.removeprefix("name=").partition(",")[0] for option in options)


def root(info: Info) -> Path | None:
    """Where the engine keeps its files; None if that is another machine."""
    return None if is_remote(endpoint()) else Path(info["DockerRootDir"])


def bridge(client: docker.DockerClient) -> Bridge | None:
    """This host's place on the engine's default network.

    None where the engine runs in a virtual machine, or has a network of its own (rootless).
    """
    from docker.errors import NotFound

    if "rootless" in kinds(client):
        return None
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
    except APIError as error:
        raise EngineError(
            f"The Docker engine refused: {error.explanation or error}",
            "See `docker info` and the engine's log.",
        ) from None
    except (DockerException, requests.RequestException, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"The disk is full: {error.filename or tempfile.gettempdir()}",
                "Free space there, then run `trainer reconcile`.",
            ) from None
        raise EngineError(
            f"The Docker engine stopped answering: {type(error).__name__}.",
            "When it is back, `trainer reconcile` ends what was running.",
        ) from None


def is_removed(remove: Callable[[], object]) -> bool:
    """Whether what `remove` has the engine remove is gone now; what is in use stays. Raises `EngineError`."""
    from docker.errors import APIError, NotFound

    with failures():
        try:
            remove()
        except NotFound:
            return True
        except APIError:
            return False
    return True
