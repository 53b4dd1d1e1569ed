"""The tracking server of a run that was started before: where it is now, and by which account."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from trainer.backends import registry
from trainer.errors import InvalidInput, TrainerError
from trainer.server import container, container_record, process, start
from trainer.tracking import delivery
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server, configured, with_credentials
from trainer.tracking.failures import NotThere
from trainer.workspace import run_folder, secrets
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace


def client_of(workspace: Workspace, record: Record) -> Client:
    """A client of the server that the run reports to; the workspace's own is started where it is down."""
    if record.own_server and not container_record.recorded(workspace):
        bridge = None
        with contextlib.suppress(TrainerError):  # else the next run in a container would restart it for that
            bridge = registry.named(record.backend, workspace).bridge()
        own = process.begin(workspace, bridge)
        process.wait(workspace, own)
        return Client(own)
    return Client(start.revive(workspace, _named(workspace, record)))


def changed(workspace: Workspace, record: Record, before: Server) -> Client | None:
    """A client of the run's server, if that has another address or account than before; it is not started.

    Waits for a command that is changing the workspace's own one. None where all is as it was.
    """
    if record.own_server:
        return None  # which keeps both
    with contextlib.suppress(TrainerError):  # then nobody knows of another one
        if container_record.recorded(workspace):
            with container.changing(workspace):
                pass
        now = _named(workspace, record)
        return Client(now) if now != replace(before, network=None) else None
    return None


def run_of(workspace: Workspace, record: Record) -> tuple[Client, Run]:
    """The run as its server has it, and the server. Raises `InvalidInput` where it is on this disk alone."""
    client = client_of(workspace, record)
    try:
        return client, client.get_run(record.run_id)
    except NotThere:
        if not delivery.exists(run_folder.of(workspace, record.run_id)):
            raise
        raise InvalidInput(
            f"The run {record.name or record.run_id} is not on {client.server.uri} yet, but on this disk.",
            f"Bring it there: trainer sync {record.run_id[:8]}",
        ) from None


def _named(workspace: Workspace, record: Record) -> Server:
    loaded = secrets.load(workspace)
    # A container takes over what the workspace's process kept.
    taken_over = container_record.recorded(workspace) if record.own_server else None
    uri = taken_over or container_record.present(workspace, record.tracking_uri, record.started)
    # The record has the address alone.
    named = (workspace.server_asked_for, loaded.get("MLFLOW_TRACKING_URI"), workspace.settings.tracking_uri)
    uri = with_credentials(uri, named)
    chosen = configured(loaded, uri)
    if chosen is None:
        raise RuntimeError("a server that was named is not the workspace's own")
    return chosen
