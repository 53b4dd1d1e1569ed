"""Which tracking server runs report to: decided here, for every command."""

from __future__ import annotations

from collections.abc import Iterable

from trainer.errors import TrackingError
from trainer.server import container_record, process, start
from trainer.tracking import endpoint
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.workspace import secrets
from trainer.workspace.run_folders import Record
from trainer.workspace.secrets import Secrets
from trainer.workspace.settings import Workspace


class NoServer(TrackingError):
    """No server is chosen, and the workspace's own one has never run: there are no runs."""


def named(workspace: Workspace, loaded: Secrets, uri: str | None = None) -> Server | None:
    """The server of `uri`, else of the command line, MLFLOW_TRACKING_URI, trainer.yaml, or the container.

    None where nothing names one. No server is asked.
    """
    own, requested = container_record.recorded(workspace), workspace.server_asked_for
    uri = endpoint.with_credentials(uri, [requested]) if uri else requested
    return endpoint.configured(loaded, uri, workspace.settings.tracking_uri or own)


def of_server(workspace: Workspace, records: Iterable[Record]) -> list[Record]:
    """Those of the runs that report to the server that the command line names; all where it names none."""
    if workspace.server_asked_for is None:
        return list(records)
    uri = endpoint.named(secrets.load(workspace), workspace.server_asked_for).uri
    return [
        record
        for record in records
        if container_record.present(workspace, record.tracking_uri, record.started) == uri
    ]


def chosen(workspace: Workspace, loaded: Secrets, uri: str | None = None) -> Server | None:
    """As `named`; None also where that is the workspace's own process, which is started on demand."""
    server = named(workspace, loaded, uri)
    return None if server is None or process.is_own(workspace, server) else server


def connect(workspace: Workspace) -> tuple[Client, bool]:
    """The server that runs report to, started if it is the workspace's own, and whether it is its process."""
    return _connected(workspace, chosen(workspace, secrets.load(workspace)))


def existing(workspace: Workspace) -> tuple[Client, bool]:
    """As `connect`, for a command that looks for runs: no server is started that cannot have any.

    Raises `NoServer` where no server is chosen, and the workspace's own one has never run.
    """
    server = chosen(workspace, secrets.load(workspace))
    if server is None and not (workspace.store.exists() or process.running(workspace)):
        raise NoServer(
            "This workspace has no runs, and no tracking server is set.",
            "`trainer run PROJECT` starts one. To see a team's runs: trainer server connect URL",
        )
    return _connected(workspace, server)


def _connected(workspace: Workspace, server: Server | None) -> tuple[Client, bool]:
    if server is None:
        own = process.begin(workspace)
        process.wait(workspace, own)
        return Client(own), True
    return Client(start.revive(workspace, server)), False


def running(workspace: Workspace) -> Client | None:
    """The server that runs report to, as it is: none is started."""
    server = chosen(workspace, secrets.load(workspace))
    if server is None:
        state = process.running(workspace)
        return Client(state.server) if state else None
    return Client(server)
