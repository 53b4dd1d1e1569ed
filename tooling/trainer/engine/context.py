"""Which engine `docker` on the command line uses: $DOCKER_HOST, else a context, else the local socket.

docker-py takes the local engine for a context that it cannot find, and for every one where there is no
config.json: a run would be on another machine than the user said.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast
from urllib.parse import urlsplit

from trainer.errors import EngineError

_SOCKET = "unix://"
_LOCAL = f"{_SOCKET}/var/run/docker.sock"
_PATIENCE_S = 0.2  # to connect to a socket takes no time
_DEFAULT = "default"  # the context that is made of the variables
_PORT, _TLS_PORT = 2375, 2376


@dataclass(frozen=True)
class Tls:
    """With what this side of the connection shows who it is, and checks the other one."""

    ca: Path | None
    cert: Path | None
    key: Path | None
    verify: bool


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens, and how it is spoken to there."""

    address: str
    tls: Tls | None = None


class _DockerEndpoint(TypedDict, total=False):
    Host: str
    SkipTLSVerify: bool


class _Endpoints(TypedDict, total=False):
    docker: _DockerEndpoint


class _Meta(TypedDict):
    Endpoints: _Endpoints


class _Config(TypedDict, total=False):
    currentContext: str


def current() -> Endpoint:
    """The engine that `docker` uses here and now; nothing is asked of it.

    Raises `EngineError` for a context that is not there, and for certificates that are missing.
    """
    name, said_by = _name()
    return _of_variables() if name == _DEFAULT else _of_context(name, said_by)


def check_local() -> None:
    """Raise `EngineError` if nothing listens at this machine's engine. One elsewhere is not asked."""
    address = current().address
    if not address.startswith(_SOCKET):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(address.removeprefix(_SOCKET))
        except OSError as error:
            raise EngineError(
                f"No Docker engine answers at {address}: {error.strerror or error}.", "Start it."
            ) from None


def no_address(address: str) -> EngineError:
    """The error for an address that cannot be one."""
    return EngineError(
        f"{address} is not the address of a Docker engine.",
        "Set DOCKER_HOST to unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, or unset it.",
    )


def _name() -> tuple[str, str]:
    """The context, and what names it."""
    if os.environ.get("DOCKER_HOST"):
        return _DEFAULT, "DOCKER_HOST"
    if named := os.environ.get("DOCKER_CONTEXT"):
        return named, "DOCKER_CONTEXT"
    path = _folder() / "config.json"
    try:
        config = cast(_Config, json.loads(path.read_text()))
        return config.get("currentContext") or _DEFAULT, str(path)
    except (OSError, ValueError, AttributeError):  # `docker` warns of such a file, and goes on without it
        return _DEFAULT, str(path)


def _folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _of_variables() -> Endpoint:
    tls = None
    variable = next((name for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS") if os.environ.get(name)), None)
    if variable:
        certificates = Path(os.environ.get("DOCKER_CERT_PATH") or _folder())
        if not (certificates / "ca.pem").is_file():
            raise EngineError(
                f"{variable} asks for TLS, but there is no {certificates / 'ca.pem'}.",
                "Specify the folder of ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH.",
            )
        tls = _material(certificates, verify=variable == "DOCKER_TLS_VERIFY")
    host = os.environ.get("DOCKER_HOST")
    if not host:
        return Endpoint(f"tcp://localhost:{_TLS_PORT}" if tls else _LOCAL, tls)
    return Endpoint(_complete(host, _TLS_PORT if tls else _PORT), tls)


def _complete(host: str, port: int) -> str:
    """What may be left out of $DOCKER_HOST: `tcp://`, the host's name, the port."""
    address = host if "://" in host else f"tcp://{host}"
    try:
        parts = urlsplit(address)
        named = parts.port
    except ValueError:
        raise no_address(host) from None
    if parts.scheme != "tcp":
        return address
    netloc = parts.netloc if parts.hostname else f"localhost{parts.netloc}"
    return parts._replace(netloc=netloc if named else f"{netloc}:{port}").geturl()


def _of_context(name: str, said_by: str) -> Endpoint:
    key = hashlib.sha256(name.encode()).hexdigest()
    metadata = _folder() / "contexts" / "meta" / key / "meta.json"
    try:
        docker_endpoint = cast(_Meta, json.loads(metadata.read_text()))["Endpoints"]["docker"]
        address = docker_endpoint["Host"]
    except FileNotFoundError:
        raise EngineError(
            f"There is no Docker context {name}, which {said_by} names.",
            "Specify one of `docker context ls`: docker context use NAME, or DOCKER_CONTEXT=NAME",
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise EngineError(
            f"The Docker context {name}, which {said_by} names, cannot be read: {metadata}",
            f"Make it again: docker context rm {name}, then docker context create {name} --docker host=…",
        ) from None
    tls = _material(
        _folder() / "contexts" / "tls" / key / "docker",
        verify=not docker_endpoint.get("SkipTLSVerify", False),
    )
    return Endpoint(address, None if tls.verify and not (tls.ca or tls.cert) else tls)


def _material(folder: Path, *, verify: bool) -> Tls:
    ca, cert, key = (
        path if (path := folder / f"{name}.pem").is_file() else None for name in ("ca", "cert", "key")
    )
    return Tls(ca, cert, key, verify)
