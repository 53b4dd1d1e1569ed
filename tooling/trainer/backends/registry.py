"""The backends there are: the entry points of a group, which other packages can add to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from trainer.backends.base import Backend
from trainer.errors import EngineError, InvalidInput
from trainer.plan.target import Target
from trainer.projects.parameters import nearest
from trainer.workspace.settings import Workspace

_LOG = logging.getLogger(__name__)
GROUP = "trainer.backends"
DEFAULT = "docker"


class BackendType(Protocol):
    """What an entry point of the group names: mostly a class."""

    name: str
    isolated: bool

    def __call__(self, workspace: Workspace) -> Backend:
        """The backend of a workspace. It connects to nothing."""


def names() -> list[str]:
    """The backends that are installed."""
    return sorted(_entry_points())


def find(name: str) -> BackendType:
    """The backend of that name; raises `InvalidInput` with the nearest one."""
    entry_points = _entry_points()
    if name not in entry_points:
        raise InvalidInput(
            f"There is no backend {name}.", nearest(name, sorted(entry_points), "The backends are")
        )
    return cast(BackendType, entry_points[name].load())


def named(name: str, workspace: Workspace) -> Backend:
    """The backend of that name for the workspace; raises `InvalidInput` with the nearest one."""
    return find(name)(workspace)


def target(name: str) -> Target:
    """What a plan has to know of the backend; raises `InvalidInput` with the nearest one."""
    backend = find(name)
    return Target(backend.name, backend.isolated)


def isolates(name: str) -> bool:
    """Whether runs of that backend see only what is mounted; False where it is not installed."""
    return name in names() and find(name).isolated


def automatic(workspace: Workspace) -> tuple[str, Sequence[EngineError]]:
    """The first backend that can be connected to, and why those before it cannot.

    Those that isolate runs come first.
    """
    away: list[EngineError] = []
    for kind in sorted(map(find, names()), key=lambda kind: not kind.isolated):
        try:
            kind(workspace).connect()
        except EngineError as error:
            _LOG.info("Backend %s: %s", kind.name, error.message)
            away.append(error)
        else:
            _LOG.info("Backend: %s", kind.name)
            return kind.name, away
    raise away[0]


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
