"""A workspace is connected to a tracking server: the address in trainer.yaml, the account in secrets.env."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.errors import InvalidInput, TrackingDenied
from trainer.server import container_record
from trainer.tracking import endpoint
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import ADDRESS_HINT, Unreachable
from trainer.workspace import secrets, settings
from trainer.workspace.settings import Workspace

_URI = "MLFLOW_TRACKING_URI"
_ACCOUNT = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


@dataclass(frozen=True)
class Connection:
    """A server that lets us in."""

    server: Server
    version: str
    """Of MLflow, on the server."""
    replaced: str | None
    """The server that the workspace named before."""


def address(workspace: Workspace, uri: str) -> Server:
    """The server at an address, with no account.

    Raises `InvalidInput` where that is no address of a server, or holds a password.
    """
    server = endpoint.named(secrets.load(workspace), uri)
    if server.username or server.password:
        raise InvalidInput(
            "The address holds an account, which other users of this machine can see.",
            f"trainer server connect {server.uri}, which asks for it",
        )
    return server


def is_open(server: Server) -> bool:
    """Whether it lets in who has no account. Raises `TrackingError` where no server answers."""
    try:
        _version(server)
    except TrackingDenied:
        return False
    return True


def check(workspace: Workspace, server: Server, *, force: bool) -> Connection:
    """Look whether the server lets us in, and whether the workspace is free for it.

    Raises `TrackingError`, and `InvalidInput` where the workspace names another server, unless `force`.
    """
    loaded = secrets.load(workspace)
    named = loaded.values.get(_URI) or workspace.settings.tracking_uri or container_record.recorded(workspace)
    before = endpoint.named(loaded, named).uri if named else None
    if before == server.uri:
        before = None
    if before and not force:
        raise InvalidInput(
            f"Runs of this workspace report to {before}.",
            f"To report to the other one from now on: trainer server connect {server.uri} --force",
        )
    return Connection(server, _version(server), before)


def refuse_another(workspace: Workspace, named: str, own: str | None, *, force: bool) -> None:
    """Raises `InvalidInput` where runs report to another server than the one that is to be made.

    `named`: what secrets.env names; `own`: where the workspace's own server was.
    """
    if named and named != own and not force:
        raise InvalidInput(
            f"{workspace.secrets_file.name} says that runs report to {named}.",
            f"To have a server here instead, remove {_URI}, {_ACCOUNT[0]} and {_ACCOUNT[1]} from it, "
            "or let them be replaced: --force",
        )
    team = workspace.settings.tracking_uri
    if team and not named and not own:
        raise InvalidInput(
            f"{settings.SETTINGS_FILE} says that runs report to {team}.",
            "To have a server here instead, remove tracking_uri from it, and the account from "
            f"{workspace.secrets_file.name}.",
        )


def write(workspace: Workspace, server: Server) -> None:
    """Have runs report to the server from now on.

    Raises `SecretsError` where git would commit secrets.env, with nothing written.
    """
    account = dict(zip(_ACCOUNT, (server.username, server.password, server.token), strict=True))
    present = secrets.load(workspace).values
    secrets.store(
        workspace,
        {name: value for name, value in {_URI: None, **account}.items() if value or name in present},
    )
    settings.set_tracking_uri(workspace, server.uri)


def _version(server: Server) -> str:
    client = Client(server)
    try:
        version = client.version()
        client.check()
    except TrackingDenied as denied:
        again = f"trainer server connect {server.uri}"
        raise TrackingDenied(denied.message, f"Check the user name and the password: {again}") from None
    except Unreachable as silent:
        if silent.hint == ADDRESS_HINT:  # nothing names the server yet
            raise Unreachable(silent.message, "Check the address, and that the server is up.") from None
        raise
    return version
