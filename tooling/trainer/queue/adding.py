"""Queueing a run: all that it takes is looked at, built and packed now, so that nothing is left to chance."""

from __future__ import annotations

import os
import secrets as random
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from trainer.backends import registry
from trainer.backends.base import Backend
from trainer.errors import InvalidInput
from trainer.plan import consent
from trainer.plan.consent import Permission
from trainer.plan.run_plan import RunPlan
from trainer.progress import Steps
from trainer.queue import after, entries, needs, pinned
from trainer.queue.entries import Entry, Place
from trainer.runs.launch import begin, prepare
from trainer.runs.launch.prepare import PackedCode
from trainer.source import snapshot
from trainer.tracking import endpoint
from trainer.workspace import secrets, unfinished
from trainer.workspace.settings import Workspace

LEAST, MOST = -1000, 1000
"""What a priority can be."""
_SERVER = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True)
class Wish:
    """What a user says of an entry besides its run."""

    priority: int = 0
    after: tuple[str, ...] = ()
    tracking_uri: str | None = None
    offline: bool = False


def check(workspace: Workspace, plan: RunPlan, wish: Wish) -> None:
    """Raises `TrainerError` for what is refused before anything is built or a server is asked."""
    prepare.check(workspace, plan, offline=wish.offline)
    _server(workspace, wish.tracking_uri)


def add(
    workspace: Workspace, plan: RunPlan, wish: Wish, screen: Steps, allowed: Collection[Permission] = ()
) -> Entry:
    """Queue a run of the plan; it is started by somebody else.

    Raises `TrainerError` for the first thing that would spoil the run, and for what this machine cannot have
    at all; nothing of the entry exists then.
    """
    consent.check(workspace, plan.asked, allowed)
    prepare.check(workspace, plan, offline=wish.offline)
    uri = _server(workspace, wish.tracking_uri)
    follows = tuple(after.find(workspace, text) for text in dict.fromkeys(wish.after))
    backend = registry.named(plan.backend, workspace)
    screen.step(f"Connecting to the {plan.backend} backend")
    backend.connect()
    backend.check(plan)
    screen.step(f"Preparing the image {plan.image.tag}")
    image_id = plan.image_id or backend.prepare(plan.image, screen)
    need = needs.of(plan, backend, image_id)
    screen.step("Packing the code")
    with unfinished.folder(workspace, unfinished.QUEUED) as home:
        folder = entries.new_folder(home)
        code = _pack(workspace, backend, plan, folder.source, screen)
        pinned.write(workspace, folder, plan, code, image_id)
        entry = Entry(
            id=random.token_hex(4),
            project=plan.code.project,
            backend=plan.backend,
            gpus=need.gpus,
            cpus=need.cpus,
            memory=need.memory,
            name=plan.tracking.run_name or "",
            image=plan.image.tag,
            image_id=image_id,
            after=follows,
            tracking_uri=uri,
            offline=wish.offline,
        )
        entries.add(workspace, folder, entry, Place(wish.priority, time.time()))
    return entry


def _pack(workspace: Workspace, backend: Backend, plan: RunPlan, archive: Path, screen: Steps) -> PackedCode:
    folder = plan.code.folder
    return PackedCode(
        archive,
        begin.pack(workspace, backend, folder, archive, screen).digest,
        snapshot.commit(folder),
    )


def _server(workspace: Workspace, uri: str | None) -> str | None:
    """The server that this command names, and not the workspace: who starts the run does not know of it."""
    said = uri or workspace.server_asked_for or os.environ.get(_SERVER)
    if not said:
        return None
    named = endpoint.named(secrets.load(workspace), said)
    if urlsplit(said).password:
        raise InvalidInput(
            f"The address of {named.uri} has a password in it, which is not stored with an entry.",
            "Leave it out of the address, and store it: trainer secrets set MLFLOW_TRACKING_PASSWORD",
        )
    return named.uri
