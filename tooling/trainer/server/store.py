"""Whether the store of the server's container is where it was: its volume may have been removed or emptied.

A server without its database would make an empty one, and nobody would be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.engine import daemon
from trainer.errors import TrackingError
from trainer.server import container, container_record
from trainer.server.container import ContainerState, name
from trainer.server.volume import Volume
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker


def check(client: docker.DockerClient, workspace: Workspace, state: ContainerState | None) -> None:
    """Raise `TrackingError` where the container (None: gone too) had a store and has none now."""
    if container_record.has_store(workspace) and not _is_there(client, workspace, state):
        backups = sorted((workspace.state / "backups").glob("*.tar"), key=lambda file: file.stat().st_mtime)
        raise TrackingError(
            f"The tracking server's store is gone: the volume {name(workspace)} has no database.",
            f"Restore a backup (trainer server restore {backups[-1] if backups else 'FILE'}), or begin "
            "with an empty store: trainer server up --empty",
        )


def forget(client: docker.DockerClient, workspace: Workspace, state: ContainerState | None) -> None:
    """Let the server make an empty store if the one that it had is gone; one that is there stays."""
    # Without a container the volume may be there, and empty: what is on it is not looked at.
    if state is None or not _is_there(client, workspace, state):
        container.stop(client, name(workspace))  # it may have open what was removed
        container_record.record_store(workspace, exists=False)


def _is_there(client: docker.DockerClient, workspace: Workspace, state: ContainerState | None) -> bool:
    if state:
        return "runs" in Volume(client, workspace, state.image).counts()
    with daemon.failures():  # what is on it is looked at when it has a container again
        return bool(client.volumes.list(filters={"name": name(workspace)}))
