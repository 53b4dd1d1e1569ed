"""The version that an alias points to now takes the place of the one that is served."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from trainer import locks
from trainer.engine import daemon
from trainer.errors import InvalidInput, TrackingError, TrainerError
from trainer.models import locate, registry
from trainer.models.kept import Bar
from trainer.models.registry import Reference
from trainer.server import selection
from trainer.serving import container as containers
from trainer.serving import service, swap, volume
from trainer.serving.container import Serving
from trainer.serving.swap import Role
from trainer.serving.volume import Model
from trainer.tracking import endpoint
from trainer.tracking.client import Client
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container
    from trainkit.inference.serving_file import Entry, ServingFile


def _silent(_: str, __: int, ___: int) -> None:
    """A bar that nobody looks at."""


def heed(
    workspace: Workspace, engine: docker.DockerClient, serving: Serving, bar: Bar = _silent
) -> ServingFile:
    """Have the versions served that the aliases point to now; returns what is served once it is.

    Raises `TrainerError` where the tracking server does not answer, or has the model no more; what is served
    stays.
    """
    workspace, client = _asked(workspace, serving)
    with locks.exclusive(service.swap_lock(workspace, serving.name)):
        with daemon.failures():
            container = engine.containers.get(serving.container)
            present = volume.read(container)
        roles: tuple[tuple[Role, str], ...] = (("model", serving.follows), ("shadow", serving.shadow))
        for role, alias in roles:
            entry = present.model if role == "model" else present.shadow
            if alias and entry:
                present = _heed(workspace, client, container, serving, present, role, entry, bar)
        return present


def _heed(
    workspace: Workspace, client: Client, container: Container, serving: Serving, present: ServingFile,
    role: Role, entry: Entry, bar: Bar,
) -> ServingFile:  # fmt: skip
    from trainkit.inference.serving_file import Refusal

    reference = registry.parse(entry.label)
    number = registry.model(client, reference.name).aliases.get(str(reference.alias))
    if number is None:
        raise InvalidInput(
            f"{reference.name} has no alias {reference.alias} any more.",
            f"Give it to one: trainer models promote {reference.name}@VERSION --alias {reference.alias}",
        )
    version, refused = str(number), {refusal.label: refusal.version for refusal in present.refused}
    if version == entry.version:
        return swap.pardon(container, present, entry.label) if entry.label in refused else present
    if version == refused.get(entry.label):
        return present
    try:
        model = _fetched(workspace, reference, version, entry.label, bar)
    except InvalidInput as error:  # it has no ONNX file, say
        why = f"{reference.name}@{version} is not served: {error.message}"
        return swap.refuse(container, serving, present, Refusal(label=entry.label, version=version, why=why))
    return swap.replace(container, serving, present, role, model)


def _fetched(workspace: Workspace, reference: Reference, version: str, label: str, bar: Bar) -> Model:
    file = locate.locate(workspace, f"{reference.name}@{version}", bar)
    return Model(file.path, file.checked(), label, version)


def of_alias(workspace: Workspace, name: str, alias: str) -> Iterator[str]:
    """Have the servers of this workspace follow at once, and say of each what has become of it.

    What is not possible now is left to the process that looks after the server.
    """
    if not any((workspace.state / "serving").glob("*.lock")):  # nothing was ever served
        return
    followed = f"{name}@{alias}"
    try:
        engine = service.connect()
        servings = containers.found(engine, workspace)
    except TrainerError:
        return
    asked = locate.asked_server(workspace)
    for serving in servings:
        if followed in (serving.follows, serving.shadow) and serving.running and serving.server == asked:
            try:
                present = heed(workspace, engine, serving)
            except TrainerError as error:
                yield f"{serving.name}, which is served at {serving.url}, has not followed: {error.message}"
                continue
            if present.refused:
                yield f"{serving.url} answers with {present.model.called} still."
                yield from (refusal.why for refusal in present.refused)
            else:
                shadow = f", its shadow is {present.shadow.called}" if present.shadow else ""
                yield f"{serving.url} answers with {present.model.called}{shadow}."


def _asked(workspace: Workspace, serving: Serving) -> tuple[Workspace, Client]:
    """The tracking server that the model was found on. None is started."""
    if serving.server != locate.OWN:
        uri = endpoint.with_credentials(
            serving.server, [workspace.server_asked_for, os.environ.get("MLFLOW_TRACKING_URI")]
        )
        workspace = replace(workspace, server_asked_for=uri)
    client = selection.running(workspace)
    if locate.asked_server(workspace) != serving.server:
        raise TrackingError(
            f"The workspace uses another tracking server than that of {serving.follows or serving.shadow}.",
            f"Serve it again: trainer serve {serving.follows}",
        )
    if client is None:
        raise TrackingError("The workspace's tracking server is not running.", "trainer server up")
    return workspace, client
