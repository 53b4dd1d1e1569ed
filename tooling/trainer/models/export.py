"""A run's model as an ONNX file: made in the run's image, in a container without a network.

What is in the container is trainkit's own exporter and the model, which may be code that a pickle holds. The
container has no secret, and nothing of this machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainkit.models import export as exporter

from trainer.engine import daemon, one_off, run_user
from trainer.errors import CheckFailed
from trainer.images import build, spec, trainer_image
from trainer.plan import run_image
from trainer.progress import Steps
from trainer.runs.run_record import RunRecord
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker
    from trainkit.models.export import Refusal, Report

_FOLDER = "export"
_KILLED = 137


@dataclass(frozen=True)
class Exported:
    """`archive` is a tar with the folder `onnx`, MLflow's model of the ONNX file."""

    report: Report
    archive: bytes


@dataclass(frozen=True)
class Unexported:
    """Why there is no ONNX file of the model, in a sentence, and what would help."""

    reason: str
    hint: str


def export(
    workspace: Workspace, record: RunRecord, run_id: str, files: Path, screen: Steps
) -> Exported | Unexported:
    """Export what is in the folder `files`: see `trainkit.models.export`.

    Raises `CheckFailed` where ONNX Runtime does not answer as the model did; `EngineError`, `ImageError`.
    """
    screen.step("Connecting to the Docker engine")
    client = daemon.connect()
    image = _image(workspace, client, record, screen)
    if isinstance(image, Unexported):
        return image
    screen.step("Exporting the model to ONNX, and comparing the answers")
    user = run_user.of(client)
    contents = {
        f"{_FOLDER}/{path.relative_to(files)}": path.read_bytes()
        for path in sorted(files.rglob("*"))
        if path.is_file()
    }
    folder = f"/tmp/{_FOLDER}"  # noqa: S108 (the container's)
    ended = one_off.run(
        client,
        image,
        ["python", "-m", exporter.__name__, folder, run_id],
        files=one_off.private_tar(contents, user.uid, user.gid),
        fetch=f"{folder}/{exporter.PACKED}",
    )
    return _judged(ended, record.image.tag)


def _image(
    workspace: Workspace, client: docker.DockerClient, record: RunRecord, screen: Steps
) -> str | Unexported:
    """The run's image where the engine has its tag, else the workspace's of that name, as it is now."""
    recorded = record.image
    image = run_image.recorded(workspace, recorded.tag, recorded.digest, recorded.requirements_digest)
    if not image.has_trainkit:
        return Unexported(
            f"The run's image {recorded.tag} is not one of trainer's.",
            "Run the project in a trainer image: --image NAME",
        )
    # By its tag: who says the id may be a stranger.
    if build.image_id(client, recorded.tag):
        return recorded.tag
    if recorded.name not in spec.discover(workspace):
        return Unexported(
            f"The run's image {recorded.tag} is gone, and the workspace has none called {recorded.name}.",
            "Run the project again.",
        )
    planned = trainer_image.plan(workspace, spec.spec(workspace, recorded.name))
    screen.step(f"Building {planned.tag}")
    build.ensure(workspace, client, planned, screen)
    if planned.tag != recorded.tag:
        screen.remark(f"The run's image {recorded.tag} is gone; the model is exported in {planned.tag}.")
    return planned.tag


def _judged(ended: one_off.Output, tag: str) -> Exported | Unexported:
    said = next((line for line in ended.out.splitlines() if line.startswith(exporter.MARK)), None)
    payload = json.loads(said.removeprefix(exporter.MARK)) if said else None
    if payload and ended.code == 0 and ended.file is not None:
        return Exported(cast("Report", payload), ended.file)
    if payload and ended.code in (exporter.UNEXPORTED, exporter.MISMATCH):
        refusal = cast("Refusal", payload)
        if ended.code == exporter.MISMATCH:
            raise CheckFailed(refusal["message"], refusal["hint"])
        return Unexported(refusal["message"], refusal["hint"])
    lines = [line for line in ended.err.splitlines() if line.strip()]
    last = lines[-1] if lines else f"exit code {ended.code}"
    if "No module named" in last:
        return Unexported(
            f"The image {tag} is of an earlier trainer and has no exporter.",
            "Run the project again, in an image that has one: trainer build-image NAME",
        )
    if ended.code == _KILLED:
        last = "its process was killed, as when the memory does not suffice"
    return Unexported(
        f"The model could not be exported in {tag}: {last}",
        "Run the project again in an image that is up to date.",
    )
