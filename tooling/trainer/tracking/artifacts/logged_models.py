"""The models that a run has logged: of their own since MLflow 3, before that among its artifacts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import NotRequired, TypedDict, cast

import yaml

from trainer.errors import TrackingError
from trainer.tracking.client import Client, Run
from trainer.tracking.connection import API
from trainer.tracking.failures import NotThere

_DESCRIPTION = "MLmodel"


class _Output(TypedDict):
    model_id: str


class _Outputs(TypedDict):
    model_outputs: NotRequired[list[_Output]]


class _Run(TypedDict):
    outputs: NotRequired[_Outputs]


class _Info(TypedDict):
    name: NotRequired[str]


def flavors(client: Client, run: Run, name: str) -> frozenset[str] | None:
    """What MLflow says that the run's model of that name can be loaded as; None where there is no such model.

    Raises `TrackingError`.
    """
    with contextlib.suppress(NotThere):  # where the store is asked directly, MLflow's client finds both
        return _flavors(client.download(run, f"{name}/{_DESCRIPTION}"))
    answer = client.send("GET", f"{API}/runs/get", query={"run_id": run.id}).json()
    outputs = cast(_Run, answer["run"]).get("outputs", _Outputs()).get("model_outputs", [])
    for model_id in reversed([output["model_id"] for output in outputs]):
        model = client.send("GET", f"{API}/logged-models/{model_id}").json()["model"]
        info = cast(_Info, model["info"])
        if info.get("name") == name:
            path = f"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"
            return _flavors([client.send("GET", path, query={"artifact_file_path": _DESCRIPTION}).content])
    return None


def _flavors(pieces: Iterable[bytes]) -> frozenset[str]:
    try:
        document = yaml.safe_load(b"".join(pieces))
        return frozenset(document["flavors"])
    except (yaml.YAMLError, TypeError, KeyError):
        raise TrackingError("The model's MLmodel cannot be read.", "It was damaged or replaced.") from None
