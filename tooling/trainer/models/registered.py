"""The model of a run: what it is, and what it is registered as."""

from __future__ import annotations

from dataclasses import dataclass

from trainkit.models.export import MODEL

from trainer.errors import TrackingError
from trainer.models import registry, version_tags
from trainer.tracking.artifacts import logged_models
from trainer.tracking.client import Client, Run


@dataclass(frozen=True)
class RunModel:
    """`flavors` are what MLflow can load it as, `versions` its names in the registry, the newest first.

    `exported` says that these have an ONNX file, which can be used and served.
    """

    flavors: tuple[str, ...]
    versions: tuple[str, ...]
    exported: bool


def of_run(client: Client, run: Run) -> RunModel | None:
    """The run's model; None where it has none, or its server does not tell."""
    try:
        logged = logged_models.find(client, run, MODEL)
        if logged is None:
            return None
        versions = registry.of_run(client, run.id)
    except TrackingError:
        return None
    names = tuple(f"{version.model}@{version.number}" for version in versions)
    exported = any(version.tags.get(version_tags.FORMAT) == version_tags.ONNX for version in versions)
    return RunModel(tuple(sorted(logged.flavors - {"python_function"})), names, exported)
