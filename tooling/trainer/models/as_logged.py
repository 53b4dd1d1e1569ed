"""A registered model that has no ONNX file: its files as its run has logged them, and its run's image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.models import export as exporter

from trainer.errors import InvalidInput
from trainer.images import build, spec, trainer_image
from trainer.models import registry, version_tags
from trainer.plan import run_image
from trainer.runs import stored_run
from trainer.runs.run_record import RunRecord
from trainer.server import selection
from trainer.tracking import artifacts
from trainer.tracking.failures import NotThere
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_SAMPLES = "model_samples.npz"
_UNKNOWN = "it was registered without an ONNX file"


@dataclass(frozen=True)
class AsLogged:
    """A version of a registered model. `folder` is what `trainkit.models.as_logged` loads."""

    name: str
    number: int
    folder: Path
    image: str
    """The tag of that of its run."""
    why: str
    """Why there is no ONNX file of it, in a sentence."""
    run_id: str


@contextlib.contextmanager
def fetched(workspace: Workspace, engine: docker.DockerClient, text: str) -> Iterator[AsLogged]:
    """Within: the files of NAME@ALIAS or NAME@VERSION lie in a folder, and the engine has the image.

    Raises `InvalidInput` where it has not; `TrackingError`.
    """
    client, _ = selection.existing(workspace)
    version = registry.version(client, registry.parse(text))
    run = client.get_run(version.run_id)
    image = image_of(
        workspace, engine, stored_run.pins_of(client, run), f"{version.model}@{version.number}", run.id
    )
    with unfinished.folder(workspace, unfinished.DOWNLOAD) as folder:
        (folder / exporter.MODEL).mkdir()
        artifacts.fetch(client.server, version.source, folder / exporter.MODEL)
        with contextlib.suppress(NotThere):
            content = b"".join(client.download(run, _SAMPLES))
            (folder / _SAMPLES).write_bytes(content)
        why = version.tags.get(version_tags.UNEXPORTED, _UNKNOWN)
        yield AsLogged(version.model, version.number, folder, image, why, run.id)


def image_of(
    workspace: Workspace, engine: docker.DockerClient, record: RunRecord, name: str, run_id: str
) -> str:
    """The tag of the run's image. Raises `InvalidInput`, with how it is had again, where it is gone."""
    recorded = record.image
    image = run_image.recorded(workspace, recorded.tag, recorded.digest, recorded.requirements_digest)
    if not image.has_trainkit:
        raise InvalidInput(
            f"The image of {name}, {recorded.tag}, is not one of trainer's.",
            "Run the project in a trainer image: --image NAME",
        )
    # By its tag: who says the id may be a stranger. A pickle is loaded by what wrote it, or not at all.
    if build.image_id(engine, recorded.tag):
        return recorded.tag
    specs = spec.discover(workspace)
    is_todays = (
        recorded.name in specs and trainer_image.plan(workspace, specs[recorded.name]).tag == recorded.tag
    )
    again = f"trainer build-image {recorded.name}" if is_todays else f"trainer reproduce {run_id[:8]}"
    raise InvalidInput(
        f"The image {recorded.tag}, in which {name} was trained, is gone.", f"Have it built again: {again}"
    )
