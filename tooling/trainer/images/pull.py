"""Pulling an image from its registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

from trainer.engine import daemon
from trainer.progress import Steps

if TYPE_CHECKING:
    import docker

_MB = 1_000_000


class PullFailed(Exception):
    """The registry, or the engine, says why in the message."""


class _Detail(TypedDict, total=False):
    current: int
    total: int


class _Event(TypedDict, total=False):
    id: str
    status: str
    error: str
    progressDetail: _Detail


def pull(client: docker.DockerClient, reference: str, steps: Steps) -> None:
    """Have the engine pull it, with the credentials of `docker login`. Raises `PullFailed`, `EngineError`."""
    from docker.errors import APIError, NotFound
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(reference)
    steps.step(f"Pulling {reference}")
    layers = _Layers()
    with daemon.failures():
        try:
            events: Iterator[_Event] = client.api.pull(repository, tag or "latest", stream=True, decode=True)
            for event in events:
                if "error" in event:
                    raise PullFailed(event["error"])
                steps.detail(f"{event.get('id', '')} {event.get('status', '')}")
                layers.note(event)
                steps.part("", str(layers))
        except (APIError, NotFound) as error:
            raise PullFailed(str(error.explanation or error)) from None


class _Layers:
    """How much of an image's layers is here."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._loaded: dict[str, int] = {}
        self._done: set[str] = set()

    def note(self, event: _Event) -> None:
        layer, status = event.get("id", ""), event.get("status", "")
        detail = event.get("progressDetail") or {}
        if status == "Pulling fs layer":
            self._sizes.setdefault(layer, 0)
        elif status == "Downloading":
            self._sizes[layer] = detail.get("total", 0)
            self._loaded[layer] = detail.get("current", 0)
        elif status in ("Download complete", "Extracting") and layer in self._sizes:
            self._loaded[layer] = self._sizes[layer]
        elif status in ("Pull complete", "Already exists"):
            self._sizes.setdefault(layer, 0)
            self._loaded[layer] = self._sizes[layer]
            self._done.add(layer)

    def __str__(self) -> str:
        if not self._sizes:
            return ""
        layers = f"{len(self._done)}/{len(self._sizes)} layers"
        size = sum(self._sizes.values())
        loaded = sum(self._loaded.values())
        return f"{layers}, {loaded / _MB:.0f} of {size / _MB:.0f} MB" if size else layers
