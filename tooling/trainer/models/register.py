"""From a finished run to a version of a registered model, whose files are one ONNX file and its `MLmodel`."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from trainkit.models import export as exporter

from trainer import archives
from trainer.errors import InvalidInput
from trainer.models import export, registry, version_tags
from trainer.models.export import Exported, Unexported
from trainer.models.registry import Version
from trainer.progress import Steps
from trainer.runs import resolve, server, stored_run
from trainer.runs.run_record import RunRecord
from trainer.subprocesses import interruptible
from trainer.tracking import artifacts
from trainer.tracking.artifacts import logged_models
from trainer.tracking.artifacts.logged_models import LoggedModel
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere
from trainer.workspace import unfinished
from trainer.workspace.settings import Workspace

_MODEL = exporter.MODEL
_LONGEST_TAG = 5000  # what MLflow takes
# What a run may have logged beside its model, for the exporter.
_BESIDE = ("model_samples.npz", exporter.FILE)


@dataclass(frozen=True)
class Registered:
    """The version. `was_there` says that an earlier call made it; `unexported` why it is no ONNX file."""

    version: Version
    was_there: bool = False
    unexported: Unexported | None = None


def register(workspace: Workspace, text: str, name: str | None, screen: Steps) -> Registered:
    """Export the run's model, compare it, and register it as a version of the model `name`.

    By default that is called like the run's project. A model that cannot be exported is registered as the run
    has logged it; a run that is registered already stays as it is.

    Raises `InvalidInput` for a run without a model, or one that has not finished; `CheckFailed` where the
    exported model answers otherwise; `TrackingError`, `EngineError`, `ImageError`.
    """
    if name is not None:
        registry.check_name(name)
    screen.step("Looking at the run")
    client, run = server.run_of(workspace, resolve.resolve(workspace, text))
    _check(run)
    record = stored_run.pins_of(client, run)
    name = name or registry.check_name(record.project)
    earlier = registry.of_run(client, run.id)
    if same := next((version for version in earlier if version.model == name), None):
        return Registered(same, was_there=True)
    if other := next((v for v in earlier if v.tags.get(version_tags.FORMAT) == version_tags.ONNX), None):
        return Registered(registry.create(client, name, other.source, run.id, _described(other)))
    logged = logged_models.find(client, run, _MODEL)
    if logged is None:
        raise InvalidInput(
            f"The run {run.name} has no model.", f"`trainer show {run.id[:8]}` lists what it has."
        )
    with interruptible(), unfinished.folder(workspace, unfinished.DOWNLOAD) as folder:
        screen.step("Downloading the model")
        _fetch(client, run, logged, folder)
        exported = export.export(workspace, record, run.id, folder, screen)
        if isinstance(exported, Unexported):
            flavors = ", ".join(sorted(logged.flavors - {"python_function"}))
            tags = {
                version_tags.FORMAT: flavors,
                version_tags.IMAGE: record.image.tag,
                version_tags.UNEXPORTED: exported.reason[:_LONGEST_TAG],
            }
            version = registry.create(client, name, logged.uri, run.id, tags, logged.id)
            return Registered(version, unexported=exported)
        screen.step("Uploading the ONNX file")
        _upload(client, run, exported, folder)
    screen.step(f"Registering the model {name}")
    source = f"{run.artifact_uri}/{exporter.ONNX}"
    return Registered(registry.create(client, name, source, run.id, _tags(exported, record)))


def _check(run: Run) -> None:
    if run.status == "FINISHED":
        return
    short = run.id[:8]
    going_on = run.status in ("RUNNING", "SCHEDULED")
    raise InvalidInput(
        f"The run {run.name} is {run.status}: only the model of a finished run is registered.",
        f"Wait for its end: trainer attach {short}" if going_on else f"See why: trainer show {short}",
    )


def _fetch(client: Client, run: Run, logged: LoggedModel, folder: Path) -> None:
    model = folder / _MODEL
    model.mkdir()
    artifacts.fetch(client.server, logged.uri, model)
    for artifact in _BESIDE:
        try:
            with (folder / artifact).open("wb") as written:
                written.writelines(client.download(run, artifact))
        except NotThere:
            (folder / artifact).unlink()


def _upload(client: Client, run: Run, exported: Exported, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(exported.archive)) as archive:
        archives.unpack(archive, folder)
    for path in sorted((folder / exporter.ONNX).rglob("*")):
        if path.is_file():
            client.upload(run, path, str(path.relative_to(folder)))


def _described(version: Version) -> dict[str, str]:
    """The tags of another version of the same file."""
    return {key: value for key, value in version.tags.items() if key in version_tags.ALL}


def _tags(exported: Exported, record: RunRecord) -> dict[str, str]:
    report = exported.report
    return {
        version_tags.FORMAT: version_tags.ONNX,
        version_tags.FRAMEWORK: report["framework"],
        version_tags.TASK: report["task"],
        **({version_tags.CLASSES: ", ".join(report["classes"])[:_LONGEST_TAG]} if report["classes"] else {}),
        **({version_tags.TARGET: report["target"]} if report["target"] else {}),
        version_tags.DIFFERENCE: f"{report['max_difference']:.3g}",
        version_tags.SAME_CLASS: f"{report['same_class']:.0%}",
        version_tags.SAMPLES: str(report["samples"]),
        version_tags.SHA256: report["sha256"],
        version_tags.IMAGE: record.image.tag,
    }
