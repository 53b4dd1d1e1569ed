"""Which tracking server: its address, and how to prove who one is."""

from __future__ import annotations

import configparser
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from trainer.errors import InvalidInput
from trainer.tracking import outbound
from trainer.tracking.outbound import AUTHORITY, INSECURE, Outbound
from trainer.workspace.secrets import Secrets

_LOG = logging.getLogger(__name__)
LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 (compared with, not bound to)
CONTAINER_HOST = "host.docker.internal"
# By these the clients of stores of artifacts know where a store is, and who one is.
_OF_STORES = ("AWS_", "AZURE_", "GOOGLE_", "MLFLOW_GCS_", "MLFLOW_S3_")


@dataclass(frozen=True)
class Network:
    """A network of the Docker engine that a server is on, and the server's address for those on it."""

    name: str
    uri: str


@dataclass(frozen=True)
class Server:
    """A tracking server and how to prove who one is. Printing it shows no secret."""

    uri: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    network: Network | None = None
    of_stores: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Variables of secrets.env by which this machine uses the store that the server has for artifacts."""
    outbound: Outbound = field(default=Outbound(), repr=False, compare=False)
    """What it takes to get to it from this machine."""
    credentials_from: str = field(default="", compare=False)
    """Where the password or token was taken from, in words."""

    @property
    def variables(self) -> dict[str, str]:
        """What MLflow's own client reads of the environment to use it."""
        values = {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": self.username,
            "MLFLOW_TRACKING_PASSWORD": self.password,
            "MLFLOW_TRACKING_TOKEN": self.token,
            **{name: self.outbound.variables.get(name) for name in (AUTHORITY, INSECURE)},
        }
        return {name: value for name, value in values.items() if value}

    @property
    def environment(self) -> dict[str, str]:
        """What MLflow's own client needs on this machine to use it, and its store of artifacts."""
        return {**dict(self.of_stores), **self.outbound.variables, **self.variables}

    @property
    def container_uri(self) -> str:
        """The address of the server as a container sees it, whose localhost is not the host's."""
        if self.network:
            return self.network.uri
        parts = urlsplit(self.uri)
        if parts.hostname not in LOOPBACK:
            return self.uri
        port = f":{parts.port}" if parts.port else ""
        return urlunsplit(parts._replace(netloc=CONTAINER_HOST + port))


def configured(secrets: Secrets, uri: str | None, default: str | None = None) -> Server | None:
    """The server that was chosen, or None for the workspace's own.

    `uri` is what the user said; else it is MLFLOW_TRACKING_URI of the environment or of secrets.env; else
    `default`, which trainer.yaml said.
    Raises `InvalidInput` for an address that a container could not reach (a file, a database).
    """
    known, origin = secrets.get("MLFLOW_TRACKING_URI"), secrets.origin("MLFLOW_TRACKING_URI")
    origin = "the command or the run" if uri else origin or "the workspace"
    uri = uri or known or default
    if not uri:
        return None
    chosen = named(secrets, uri)
    _LOG.info("Tracking server: %s, named by %s", chosen.uri, origin)
    token = secrets.get("MLFLOW_TRACKING_TOKEN")
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise InvalidInput(
            "MLFLOW_TRACKING_TOKEN is not a token: it has spaces, line breaks or non-ASCII characters.",
            "Copy it again, without anything around it.",
        )
    username, password = _credentials_file()
    server = replace(
        chosen,
        username=chosen.username or secrets.get("MLFLOW_TRACKING_USERNAME") or username,
        password=chosen.password or secrets.get("MLFLOW_TRACKING_PASSWORD") or password,
        token=token,
    )
    if server.username and server.password:  # before a token, as MLflow's client does
        origin = "the tracking URI" if chosen.password else secrets.origin("MLFLOW_TRACKING_PASSWORD")
        return replace(server, credentials_from=origin or "~/.mlflow/credentials")
    return replace(server, credentials_from=secrets.origin("MLFLOW_TRACKING_TOKEN") or "")


def named(secrets: Secrets, uri: str) -> Server:
    """The server of that address, with no credentials but those in the address.

    Raises `InvalidInput` for an address that a container could not reach (a file, a database).
    """
    parts = _parsed(uri)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(
            f"The tracking URI {_without_credentials(uri)} is not an http(s) address.",
            "Specify a tracking server, or none for the workspace's own: http://HOST:PORT",
        )
    return Server(
        uri=_without_credentials(uri).rstrip("/"),
        username=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        outbound=outbound.of(secrets),
        of_stores=tuple(
            (name, secrets.get(name) or "") for name in secrets.values if name.startswith(_OF_STORES)
        ),
    )


def with_credentials(uri: str, candidates: Iterable[str | None]) -> str:
    """The URI with the user name and password that the same URI has among `candidates`, if any."""
    return next(
        (
            candidate
            for candidate in candidates
            if candidate and _without_credentials(candidate).rstrip("/") == uri
        ),
        uri,
    )


def _parsed(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises for one that is no number, or out of range
    except ValueError:
        return None
    return parts


def _without_credentials(uri: str) -> str:
    """Text alone: what is no address stays as the user wrote it."""
    return re.sub(r"(?<=://)[^/?#]*@", "", uri)


def _credentials_file() -> tuple[str | None, str | None]:
    """User name and password from the file that MLflow's own client reads."""
    path = Path("~/.mlflow/credentials").expanduser()
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
        section = parser["mlflow"] if parser.has_section("mlflow") else {}
        return section.get("mlflow_tracking_username"), section.get("mlflow_tracking_password")
    except (configparser.Error, UnicodeDecodeError):
        raise InvalidInput(
            f"{path} is invalid.",
            "Write [mlflow], mlflow_tracking_username = …, mlflow_tracking_password = …; and %% for a %.",
        ) from None
