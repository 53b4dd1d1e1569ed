"""Unused files, images and containers of runs and builds: found first, removed on request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.backends import environments, registry
from trainer.backends.docker import leftovers as engine
from trainer.engine import daemon
from trainer.errors import TrainerError
from trainer.images import leftovers as images
from trainer.leftovers import Leftover, Leftovers
from trainer.maintenance import cache
from trainer.models import kept
from trainer.queue import entries as queue
from trainer.runs import gone, half_made
from trainer.server import image as server_image
from trainer.serving import baked
from trainer.serving import image as serve_image
from trainer.serving import leftovers as serving
from trainer.source import cache as code
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Found:
    """What can go, by who has it, and a line for whatever could not be looked at."""

    groups: tuple[Leftovers, ...]
    notes: tuple[str, ...]

    @property
    def leftovers(self) -> list[Leftover]:
        """All that can go."""
        return [leftover for group in self.groups for leftover in group.found]


def find(workspace: Workspace, *, of_cache: bool, days: float) -> Found:
    """What can go. Nothing that a live run or a queued one uses is among it, nor what is on this disk alone.

    `days` is how old a build's log has to be, and, with `of_cache`, how long a part of the cache has not been
    used.
    """
    groups, notes = list[Leftovers](), list[str]()
    queued = queue.images(workspace)
    unreadable = run_folders.unreadable(workspace)
    notes += map(str, unreadable)
    if waiting := run_folders.undelivered(workspace):
        notes.append(
            f"{len(waiting)} run(s) have data that is on this disk alone. They were left alone: trainer sync"
        )
    groups += [
        half_made.leftovers(workspace),
        images.of_logs(workspace, days),
        code.leftovers(workspace, days),
    ]
    groups.append(gone.leftovers(workspace))
    if of_cache:
        on_host = any(not registry.isolates(record.backend) for record in run_folders.live(workspace))
        groups.append(cache.of_folder(workspace, days, is_used=bool(unreadable) or on_host))
        groups.append(kept.unused(workspace, days))
    try:
        client = daemon.connect()
        groups.append(engine.of_runs(workspace, client))
        groups.append(images.of_builds(workspace, client, queued))
        groups.append(serving.of_workspace(workspace, client))
        groups.append(server_image.leftovers(workspace, client))
        groups.append(serve_image.leftovers(workspace, client))
        groups.append(baked.leftovers(workspace, client))
        groups.append(engine.of_killed_launches(workspace, client))
        groups.append(engine.of_warm(workspace, client))
        groups.append(
            engine.of_code(workspace, client, {leftover.name for group in groups for leftover in group.found})
        )
        if not unreadable:
            current = images.current(workspace, client)
            groups.append(environments.leftovers(workspace, current, days if of_cache else None, queued))
        if of_cache:
            groups.append(images.of_projects(workspace, client, days, queued))
            groups.append(cache.of_volume(workspace, client, days))
    except TrainerError as error:
        notes.append(f"{error.message} Its containers, images and cache were not looked at.")
    return Found(tuple(groups), (*notes, *(note for group in groups for note in group.notes)))


def remove(leftovers: Found) -> Iterator[Leftover]:
    """Remove it, one after the other; yields each that is gone. What is in use meanwhile stays."""
    for group in leftovers.groups:
        yield from group.remove(group.found)
