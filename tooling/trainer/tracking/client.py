"""The tracking server's REST API, as much of it as launching a run needs.

Importing `mlflow` costs more than a whole launch, so the few calls are made here over `requests`. The API
is documented in MLflow's "REST API" reference.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, cast
from urllib.parse import quote, urlsplit

from trainer.datasets.inputs import DATASET_TAG
from trainer.errors import TrackingError
from trainer.tracking import artifacts, run_tags
from trainer.tracking.connection import API, Connection
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import ServerFailure, no_artifact, refusal

if TYPE_CHECKING:
    import requests

    from trainer.datasets.inputs import Data

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
_BATCH = 100  # parameters or tags in one log-batch call: the API's limit
LONGEST_VALUE = 6000  # of a parameter; the server refuses longer ones


@dataclass(frozen=True)
class Run:
    """A run on the server."""

    id: str
    experiment_id: str
    name: str
    status: str
    artifact_uri: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    url: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The digests of its datasets by their names; the splits of one have the same name."""
    started: float | None = None
    """In seconds since 1970."""
    ended: float | None = None
    """In seconds since 1970; None while it runs."""
    models: tuple[str, ...] = ()
    """The ids of the models that it has logged, since MLflow 3; not known of a run that was searched for."""


class _KeyValue(TypedDict):
    key: str
    value: str


class _Metric(TypedDict):
    key: str
    value: float | str


class _Experiment(TypedDict):
    experiment_id: str
    lifecycle_stage: str


class _Info(TypedDict):
    lifecycle_stage: str
    run_id: str
    experiment_id: str
    run_name: str
    status: str
    artifact_uri: str
    start_time: NotRequired[int]
    end_time: NotRequired[int]


class _Data(TypedDict, total=False):
    metrics: list[_Metric]
    params: list[_KeyValue]
    tags: list[run_tags.Pair]


class _Dataset(TypedDict):
    name: str
    digest: str


class _Input(TypedDict):
    dataset: _Dataset


class _Inputs(TypedDict, total=False):
    dataset_inputs: list[_Input]


class RunAnswer(TypedDict):
    """A run as the API writes it."""

    info: _Info
    data: _Data
    inputs: NotRequired[_Inputs]
    outputs: NotRequired[Mapping[str, list[Mapping[str, str]]]]


class Client(Connection):
    """The calls of the API on one connection. Every method raises `TrackingError`."""

    def experiment_id(self, name: str) -> str:
        """The id of the experiment, which is made if it is not there. Safe for several callers at once."""
        return self.find_experiment(name) or self.make_experiment(name)

    def find_experiment(self, name: str) -> str | None:
        """The id of the experiment, None if it is not there."""
        query = {"experiment_name": name}
        response = self.send("GET", f"{API}/experiments/get-by-name", query=query, ok=(404,))
        if response.status_code == 404:
            return None
        experiment = cast(_Experiment, self.answer(response, "experiment"))
        if experiment["lifecycle_stage"] == "deleted":
            raise TrackingError(
                f"The experiment {name} was deleted on {self.server.uri}.",
                f"Restore it (mlflow experiments restore -x {experiment['experiment_id']}), or name another: "
                "--experiment NAME",
            )
        return str(experiment["experiment_id"])

    def make_experiment(self, name: str, tags: Mapping[str, str] | None = None) -> str:
        """Make an experiment that was not there; its id."""
        own = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        body = {"name": name, "tags": [TRAINING_VIEW, *own]}
        response = self.send("POST", f"{API}/experiments/create", body, ok=(400,))
        if response.ok:
            return str(self.answer(response, "experiment_id"))
        # Somebody else made it in between; any other cause of the 400 has to show.
        existing = self.find_experiment(name)
        if existing is None:
            raise refusal(self.server, response)
        return existing

    def create_run(self, experiment_id: str, name: str | None, tags: Mapping[str, str]) -> Run:
        """A new run in the state RUNNING."""
        body = {
            "experiment_id": experiment_id,
            "run_name": name or "",
            "user_id": tags.get(run_tags.USER, ""),
            "start_time": _now_ms(),
            "tags": run_tags.pairs(tags),
        }
        return self._run(self.send("POST", f"{API}/runs/create", body, again=False))

    def get_run(self, run_id: str) -> Run:
        """The run as it is now, with the latest value of each metric."""
        return self._run(self.send("GET", f"{API}/runs/get", query={"run_id": run_id}))

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Log all parameters; a value longer than the server takes is cut."""
        pairs = [{"key": key, "value": value[:LONGEST_VALUE]} for key, value in parameters.items()]
        for start in range(0, len(pairs), _BATCH):
            self.send(
                "POST", f"{API}/runs/log-batch", {"run_id": run_id, "params": pairs[start : start + _BATCH]}
            )

    def log_inputs(self, run_id: str, data: Iterable[Data]) -> None:
        """Log what the run is given as MLflow datasets, in the context `data`."""
        if inputs := dataset_inputs(data):
            self.send("POST", f"{API}/runs/log-inputs", {"run_id": run_id, "datasets": inputs})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, replacing those of the same key."""
        if tags:
            body = {"run_id": run_id, "tags": run_tags.pairs(tags)}
            self.send("POST", f"{API}/runs/log-batch", body)

    def resume_run(self, run_id: str, without_tags: Iterable[str]) -> None:
        """Set an ended run RUNNING again and remove these of its tags, of which it need not have any."""
        self.send("POST", f"{API}/runs/update", {"run_id": run_id, "status": "RUNNING"})
        self.remove_tags(run_id, without_tags)

    def remove_tags(self, run_id: str, keys: Iterable[str]) -> None:
        """Remove these tags, of which the run need not have any."""
        for key in map(run_tags.key, keys):
            self.send("POST", f"{API}/runs/delete-tag", {"run_id": run_id, "key": key}, ok=(404,))

    def end_run(self, run_id: str, status: Status, at: float | None = None) -> None:
        """Set the final status and the end time (now, or in seconds since 1970), whatever the status was."""
        end = _now_ms() if at is None else min(int(at * 1000), _now_ms())
        self.send("POST", f"{API}/runs/update", {"run_id": run_id, "status": status, "end_time": end})

    def upload(self, run: Run, path: Path, artifact_path: str) -> None:
        """Store a file as the artifact `artifact_path` of the run."""
        if urlsplit(run.artifact_uri).scheme != "mlflow-artifacts":
            artifacts.upload(self.server, run.id, path, artifact_path)
            return
        self.store(run.artifact_uri, path, artifact_path)

    def store(self, root: str, path: Path, artifact_path: str) -> None:
        """Store a file below an address at which the server takes artifacts itself."""
        with path.open("rb") as content:
            self.send("PUT", _artifact(urlsplit(root).path, artifact_path), content=content)

    def remove(self, root: str, artifact_path: str) -> None:
        """Delete a file below an address at which the server takes artifacts itself."""
        self.send("DELETE", _artifact(urlsplit(root).path, artifact_path))

    def download(self, run: Run, artifact_path: str) -> Iterator[bytes]:
        """The content of an artifact in pieces; raises `NotThere` at the first one if the run has none."""
        parts = urlsplit(run.artifact_uri)
        if parts.scheme != "mlflow-artifacts":
            yield from artifacts.download(self.server, run.id, run.artifact_uri, artifact_path)
            return
        try:
            answer = self.send("GET", _artifact(parts.path, artifact_path), stream=True)
        except ServerFailure:  # MLflow 2 answers 500 for what is not there
            if self._has(parts.path, artifact_path):
                raise
            raise no_artifact(run.id, artifact_path) from None
        yield from answer.iter_content(1 << 16)

    def _has(self, root: str, artifact_path: str) -> bool:
        folder, _, name = f"{root.strip('/')}/{artifact_path}".rpartition("/")
        listed = self.send("GET", _ARTIFACTS, query={"path": folder}).json()
        return name in {str(file["path"]).rpartition("/")[2] for file in listed.get("files", [])}

    def _run(self, response: requests.Response) -> Run:
        return self.read(cast(RunAnswer, self.answer(response, "run")))

    def read(self, run: RunAnswer) -> Run:
        """A run of an answer of the API."""
        info, data = run["info"], run["data"]
        inputs = run.get("inputs", {}).get("dataset_inputs", [])
        tags = run_tags.read(data.get("tags", []))
        # A script may log parts of a dataset under its name; the launcher has the digest of the whole.
        digests = {key.removeprefix(DATASET_TAG): tags[key] for key in tags if key.startswith(DATASET_TAG)}
        return Run(
            id=info["run_id"],
            experiment_id=info["experiment_id"],
            name=info.get("run_name", ""),
            status="DELETED" if info.get("lifecycle_stage") == "deleted" else info["status"],
            artifact_uri=info["artifact_uri"],
            # JSON has no NaN: the server writes such values as words.
            metrics={metric["key"]: float(metric["value"]) for metric in data.get("metrics", [])},
            url=page(self.server, info["experiment_id"], info["run_id"]),
            parameters={pair["key"]: pair["value"] for pair in data.get("params", [])},
            tags=tags,
            inputs={**{item["dataset"]["name"]: item["dataset"]["digest"] for item in inputs}, **digests},
            started=_seconds(info.get("start_time")),
            ended=_seconds(info.get("end_time")),
            models=tuple(each["model_id"] for each in run.get("outputs", {}).get("model_outputs", [])),
        )


_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
# MLflow's UI shows experiments and runs in its view for language models unless it is told what they are.
_TRAINING_PAGE = "?workflowType=machine_learning"
TRAINING_VIEW = {"key": "mlflow.experimentKind", "value": "custom_model_development"}


def dataset_inputs(data: Iterable[Data]) -> list[dict[str, object]]:
    """The datasets as the API's "log inputs" takes them. MLflow's limit for a digest is 36 characters."""
    return [
        {
            "tags": [{"key": "mlflow.data.context", "value": "data"}],
            "dataset": {
                "name": dataset.name,
                "digest": dataset.digest[:32],
                "source_type": "local",
                "source": json.dumps({"uri": dataset.name}),
                "profile": json.dumps({"files": dataset.files, "bytes": dataset.bytes}),
            },
        }
        for dataset in data
        if dataset.is_dataset
    ]


def page(server: Server, experiment_id: str, run_id: str) -> str:
    """The address of a run in the server's UI."""
    return f"{server.uri}/#/experiments/{experiment_id}/runs/{run_id}{_TRAINING_PAGE}"


def _artifact(root: str, path: str) -> str:
    return f"{_ARTIFACTS}/" + quote(f"{root.lstrip('/')}/{path}")


def _seconds(milliseconds: int | None) -> float | None:
    return int(milliseconds) / 1000 if milliseconds else None


def _now_ms() -> int:
    return int(time.time() * 1000)
