"""Served models whose command was killed, or that have ended, with what was made for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainer import leftovers
from trainer.engine import daemon
from trainer.leftovers import KILLED, Leftover, Leftovers
from trainer.serving import container, service
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker


def of_workspace(workspace: Workspace, client: docker.DockerClient) -> Leftovers:
    """Containers with their networks and volumes, and those of these that no container has any more."""

    def found() -> Iterator[Leftover]:
        servings = container.found(client, workspace)
        for serving in servings:
            if service.is_abandoned(workspace, serving):
                yield Leftover("container", serving.container, 0, KILLED)
        label = {"label": f"{container.LABEL}={workspace.identity}"}
        names = {str(network.name) for network in client.networks.list(filters=label)}
        names |= {str(volume.name) for volume in client.volumes.list(filters=label)}
        for name in sorted(names - {serving.container for serving in servings}):
            if not service.is_being_made(workspace, name):
                yield Leftover("network and volume", name, 0, "the model is not served any more")

    with daemon.failures():
        return leftovers.each(found(), lambda leftover: container.remove(client, leftover.name))
