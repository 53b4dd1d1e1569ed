"""The models that a run has logged: of their own since MLflow 3, before that among its artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

import yaml

from trainer.errors import TrackingError
from trainer.tracking.client import Client, Run
from trainer.tracking.connection import API
from trainer.tracking.failures import NotThere

_DESCRIPTION = "MLmodel"


class _Info(TypedDict):
    name: NotRequired[str]
    artifact_uri: NotRequired[str]


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run has logged: the address of its files, and what MLflow can load it as.

    `id` is None where its files are artifacts of the run.
    """

    uri: str
    id: str | None
    flavors: frozenset[str]


def find(client: Client, run: Run, name: str) -> LoggedModel | None:
    """The run's model of that name; None where there is no such model. Raises `TrackingError`."""
    model_id, info = _of_outputs(client, run, name)
    try:  # where the store is asked directly, MLflow's client finds both
        flavors = _flavors(client.download(run, f"{name}/{_DESCRIPTION}"))
    except NotThere:
        if model_id is None:
            return None
        path = f"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"
        flavors = _flavors([client.send("GET", path, query={"artifact_file_path": _DESCRIPTION}).content])
    return LoggedModel(info.get("artifact_uri", f"{run.artifact_uri}/{name}"), model_id, flavors)


def flavors(client: Client, run: Run, name: str) -> frozenset[str] | None:
    """What MLflow says that the run's model of that name can be loaded as; None where there is no such model.

    Raises `TrackingError`.
    """
    found = find(client, run, name)
    return found.flavors if found else None


def _of_outputs(client: Client, run: Run, name: str) -> tuple[str | None, _Info]:
    for model_id in reversed(run.models):
        model = client.send("GET", f"{API}/logged-models/{model_id}").json()["model"]
        info = cast(_Info, model["info"])
        if info.get("name") == name:
            return model_id, info
    return None, _Info()


def _flavors(pieces: Iterable[bytes]) -> frozenset[str]:
    try:
        document = yaml.safe_load(b"".join(pieces))
        return frozenset(document["flavors"])
    except (yaml.YAMLError, TypeError, KeyError):
        raise TrackingError("The model's MLmodel cannot be read.", "It was damaged or replaced.") from None
