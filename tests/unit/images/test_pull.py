"""Pulling an image, as the engine tells of it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import docker
import pytest
from docker.errors import NotFound
from shown import Shown
from trainer.images import pull

Event = dict[str, object]


def engine(*events: Event | Exception) -> docker.DockerClient:
    """One that answers a pull with these."""

    def answer(repository: str, tag: str, **_: object) -> Iterator[Event]:
        assert (repository, tag) == ("registry.example:5000/team/image", "v1")
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    return cast(docker.DockerClient, SimpleNamespace(api=SimpleNamespace(pull=answer)))


REFERENCE = "registry.example:5000/team/image:v1"


def loading(layer: str, current: int, total: int) -> Event:
    return {
        "id": layer,
        "status": "Downloading",
        "progressDetail": {"current": current * 1_000_000, "total": total * 1_000_000},
    }


def test_layers_and_megabytes_are_counted() -> None:
    screen = Shown()
    client = engine(
        {"status": "Pulling from team/image", "id": "v1"},
        {"id": "a", "status": "Already exists", "progressDetail": {}},
        {"id": "b", "status": "Pulling fs layer", "progressDetail": {}},
        loading("b", 10, 40),
        {"id": "b", "status": "Download complete"},
        {"id": "b", "status": "Extracting", "progressDetail": {"current": 1, "total": 2}},
        {"id": "b", "status": "Pull complete"},
        {"status": "Digest: sha256:12"},
    )
    pull.pull(client, REFERENCE, screen)
    assert screen.steps == [f"Pulling {REFERENCE}"]
    assert list(dict.fromkeys(filter(None, screen.parts))) == [
        "1/1 layers", "1/2 layers", "1/2 layers, 10 of 40 MB", "1/2 layers, 40 of 40 MB",
        "2/2 layers, 40 of 40 MB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "failure", [{"error": "manifest unknown"}, NotFound("x", explanation="manifest unknown")]
)
def test_why_it_cannot_be_pulled(failure: Event | Exception) -> None:
    with pytest.raises(pull.PullFailed, match="manifest unknown"):
        pull.pull(engine(failure), REFERENCE, Shown())
