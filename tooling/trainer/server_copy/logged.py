"""The logged models of a server, which MLflow has since 3.0, and their artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict, cast
from urllib.parse import urlsplit

from trainer.server_copy import reading
from trainer.server_copy.reading import Pair
from trainer.tracking import artifacts, server_version
from trainer.tracking.client import Client

_PAGE = 50  # the API's limit
_PIECE = 1 << 20


class Metric(TypedDict):
    """A value of a metric of the model."""

    key: str
    value: float | str
    timestamp: int
    run_id: str
    step: NotRequired[int]
    model_id: NotRequired[str]
    dataset_name: NotRequired[str]
    dataset_digest: NotRequired[str]


class _Info(TypedDict):
    model_id: str
    experiment_id: str
    artifact_uri: str
    status: str
    name: NotRequired[str]
    model_type: NotRequired[str]
    source_run_id: NotRequired[str]
    tags: NotRequired[list[Pair]]


class _Data(TypedDict):
    params: NotRequired[list[Pair]]
    metrics: NotRequired[list[Metric]]


class _File(TypedDict):
    path: str
    is_dir: NotRequired[bool]
    file_size: NotRequired[int]


@dataclass(frozen=True)
class LoggedModel:
    """A logged model."""

    id: str
    experiment_id: str
    name: str
    kind: str
    run_id: str
    artifact_uri: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class ModelArtifacts:
    """The artifacts of a logged model."""

    client: Client
    model: LoggedModel

    def listed(self) -> dict[str, int]:
        """Their sizes by their paths."""
        return dict(self._listed(""))

    def read(self, path: str) -> Iterator[bytes]:
        """The content of one in pieces."""
        route = f"/ajax-api/2.0/mlflow/logged-models/{self.model.id}/artifacts/files"
        answer = self.client.send("GET", route, query={"artifact_file_path": path}, stream=True)
        return answer.iter_content(_PIECE)

    def write(self, path: str, file: Path) -> None:
        """Store one."""
        if urlsplit(self.model.artifact_uri).scheme == "mlflow-artifacts":
            self.client.store(self.model.artifact_uri, file, path)
            return
        folder, _, name = path.rpartition("/")
        named = file.with_name("named") / name
        named.parent.mkdir(exist_ok=True)
        file.rename(named)
        artifacts.upload_to(self.client.server, self.model.artifact_uri, named, folder)
        named.unlink()

    def _listed(self, folder: str) -> Iterator[tuple[str, int]]:
        path = f"logged-models/{self.model.id}/artifacts/directories"
        payload = reading.said(
            self.client, "GET", path, query={"artifact_directory_path": folder} if folder else {}
        )
        for file in cast(list[_File], payload.get("files", [])):
            if file.get("is_dir"):
                yield from self._listed(file["path"])
            else:
                yield file["path"], int(file.get("file_size", 0))


def are_known(client: Client) -> bool:
    """Whether the server has such models."""
    answer = client.send("GET", "/version", ok=(404,))
    return answer.ok and server_version.cost(answer.text.strip()) is None


def of(client: Client, experiment_ids: list[str]) -> Iterator[LoggedModel]:
    """Those of the experiments."""
    body: dict[str, object] = {"experiment_ids": experiment_ids, "max_results": _PAGE}
    while experiment_ids:
        answer = reading.said(client, "POST", "logged-models/search", body)
        for model in cast(list[Mapping[str, object]], answer.get("models", [])):
            yield read(model)
        if not answer.get("next_page_token"):
            return
        body["page_token"] = answer["next_page_token"]


def read(model: Mapping[str, object]) -> LoggedModel:
    """One of an answer of the API."""
    info, data = cast(_Info, model["info"]), cast(_Data, model.get("data", {}))
    return LoggedModel(
        info["model_id"], str(info["experiment_id"]), info.get("name", ""), info.get("model_type", ""),
        info.get("source_run_id", ""), info["artifact_uri"], info["status"],
        reading.pairs(info.get("tags", [])), reading.pairs(data.get("params", [])),
        tuple(data.get("metrics", [])),
    )  # fmt: skip
