"""What the API of a tracking server says of experiments and runs; of MLflow 1.30 and newer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

from trainer.errors import TrackingError
from trainer.tracking.client import Client, Run, RunAnswer

API = "/api/2.0/mlflow"
_PAGE = 1000
_POINTS = 20_000  # of a metric in one answer; servers before MLflow 2.22 send all of them


class Pair(TypedDict):
    """A parameter or a tag."""

    key: str
    value: NotRequired[str]


class Dataset(TypedDict):
    """A dataset that a run was given."""

    name: str
    digest: str
    source_type: NotRequired[str]
    source: NotRequired[str]
    schema: NotRequired[str]
    profile: NotRequired[str]


class Input(TypedDict):
    """A dataset and what it was to the run."""

    dataset: Dataset
    tags: NotRequired[list[Pair]]


class Output(TypedDict):
    """A logged model that a run made."""

    model_id: str
    step: NotRequired[int]


class _Experiment(TypedDict):
    experiment_id: str
    name: str
    lifecycle_stage: str
    tags: NotRequired[list[Pair]]


class _Info(TypedDict):
    user_id: NotRequired[str]
    status: str
    lifecycle_stage: str
    start_time: NotRequired[int]
    end_time: NotRequired[int]


class _Inputs(TypedDict):
    dataset_inputs: NotRequired[list[Input]]
    model_inputs: NotRequired[list[Output]]


class _Outputs(TypedDict):
    model_outputs: NotRequired[list[Output]]


class _RunPayload(TypedDict):
    info: _Info
    inputs: NotRequired[_Inputs]
    outputs: NotRequired[_Outputs]


class _Point(TypedDict):
    value: float | str
    step: NotRequired[int]
    timestamp: NotRequired[int]


@dataclass(frozen=True)
class Experiment:
    """An experiment; what it is called is unique, deleted ones included."""

    id: str
    name: str
    deleted: bool
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """A run, and what is said of it besides what a `Run` has."""

    run: Run
    tags: Mapping[str, str]
    """As the server calls them."""
    user: str
    status: str
    deleted: bool
    started_ms: int
    ended_ms: int
    inputs: tuple[Input, ...]
    uses: tuple[Output, ...]
    """The logged models that it was given."""
    outputs: tuple[Output, ...]

    @property
    def ended(self) -> bool:
        """Whether its status is a final one."""
        return self.status not in ("RUNNING", "SCHEDULED")


@dataclass(frozen=True, order=True)
class Point:
    """A value of a metric. `value` is a text, so that NaN equals NaN."""

    key: str
    step: int
    timestamp: int
    value: str


def said(
    client: Client, method: str, path: str, body: Mapping[str, object] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, object]:  # fmt: skip
    """What the server answers; raises `TrackingError`, for what is no answer of MLflow too."""
    answer = client.send(method, f"{API}/{path}", body, query=query)
    try:
        payload = answer.json()
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise TrackingError(
            f"What answers at {client.server.uri} is not an MLflow tracking server.",
            "Check the address: a login page or another service may be in its place.",
        )
    return payload


def experiments(client: Client) -> list[Experiment]:
    """All of them, deleted ones too."""
    query = {"max_results": str(_PAGE), "view_type": "ALL"}
    return [
        Experiment(
            str(item["experiment_id"]), item["name"], item["lifecycle_stage"] == "deleted",
            pairs(item.get("tags", [])),
        )
        for item in cast(Iterator[_Experiment], pages(client, "experiments/search", query, "experiments"))
    ]  # fmt: skip


def runs(client: Client, experiment_ids: list[str], condition: str = "") -> Iterator[Record]:
    """The runs of these experiments, deleted ones too, the oldest first."""
    body: dict[str, object] = {
        "experiment_ids": experiment_ids, "filter": condition, "run_view_type": "ALL",
        "max_results": _PAGE, "order_by": ["attributes.start_time ASC"],
    }  # fmt: skip
    while experiment_ids:
        answer = said(client, "POST", "runs/search", body)
        for payload in cast(list[RunAnswer], answer.get("runs", [])):
            yield record_of(client, payload)
        if not answer.get("next_page_token"):
            return
        body["page_token"] = answer["next_page_token"]


def run(client: Client, run_id: str) -> Record:
    """The run as it is now."""
    return record_of(
        client, cast(RunAnswer, said(client, "GET", "runs/get", query={"run_id": run_id})["run"])
    )


def points(client: Client, run_id: str, key: str) -> Iterator[Point]:
    """All values of a metric."""
    query = {"run_id": run_id, "metric_key": key, "max_results": str(_POINTS)}
    for item in cast(Iterator[_Point], pages(client, "metrics/get-history", query, "metrics")):
        yield Point(key, int(item.get("step", 0)), int(item.get("timestamp", 0)), _written(item["value"]))


def pairs(listed: list[Pair]) -> dict[str, str]:
    """By key; the API leaves out a value that is empty."""
    return {pair["key"]: pair.get("value", "") for pair in listed}


def pages(client: Client, path: str, query: Mapping[str, str], field: str) -> Iterator[object]:
    """Everything that a call lists under that name, page by page."""
    token = ""
    while True:
        answer = said(client, "GET", path, query={**query, **({"page_token": token} if token else {})})
        yield from cast(list[object], answer.get(field, []))
        token = str(answer.get("next_page_token", ""))
        if not token:
            return


def record_of(client: Client, answer: RunAnswer) -> Record:
    """A run of an answer of the API."""
    payload = cast(_RunPayload, answer)
    info, inputs = payload["info"], payload.get("inputs", _Inputs())
    for pair in (*answer["data"].get("params", []), *answer["data"].get("tags", [])):
        pair.setdefault("value", "")  # which is left out where it is empty
    return Record(
        run=client.read(answer),
        tags=pairs(cast(list[Pair], answer["data"].get("tags", []))),
        user=info.get("user_id", ""),
        status=info["status"],
        deleted=info["lifecycle_stage"] == "deleted",
        started_ms=int(info.get("start_time", 0)),
        ended_ms=int(info.get("end_time", 0)),
        inputs=tuple(inputs.get("dataset_inputs", [])),
        uses=tuple(inputs.get("model_inputs", [])),
        outputs=tuple(payload.get("outputs", _Outputs()).get("model_outputs", [])),
    )


def _written(value: float | str) -> str:
    """A database has the largest number in the place of an infinite one."""
    number = float(value)
    largest = 1.7976931348623157e308
    return repr(max(-largest, min(largest, number))) if number == number else "NaN"
