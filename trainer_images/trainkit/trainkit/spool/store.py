"""MLflow's tracking store over a spool: what is logged is written down first, and delivered by and by."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NoReturn, cast

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos import service_pb2 as api
from mlflow.protos.databricks_pb2 import FEATURE_DISABLED, INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.proto_json_utils import parse_dict
from mlflow.utils.validation import _validate_batch_log_data, _validate_batch_log_limits

from trainkit import run_environment
from trainkit.spool import artifacts, models
from trainkit.spool.journal import Record, Spool, SpoolError
from trainkit.spool.names import OFFLINE_TAG, replaced, stored
from trainkit.spool.responses import API, ConnectionDropped, Response, ServerUnavailable
from trainkit.spool.sender import MlflowTransport, Sender
from trainkit.spool.view import View

if TYPE_CHECKING:
    from google.protobuf.message import Message

_PATIENCE_S = 2.0
_CREATING = (f"{API}/runs/create", f"{API}/logged-models")  # what a server would take twice
_BY_NAME = re.compile("name = '(.*)'")
# What returns before the server knows of it.
_DEFERRED = {
    api.DeleteLoggedModelTag, api.DeleteTag, api.FinalizeLoggedModel, api.LogBatch, api.LogInputs,
    api.LogLoggedModelParamsRequest, api.LogModel, api.LogOutputs, api.SetExperimentTag,
    api.SetLoggedModelTags, api.UpdateRun,
}  # fmt: skip


class SpoolStore(RestStore):  # type: ignore[misc]  # mlflow is not typed
    """The store of `spool+http://HOST:PORT`; the spool's folder is named by $TRAINER_SPOOL."""

    def __init__(self, store_uri: str) -> None:
        self.address = store_uri.removeprefix("spool+").rstrip("/")
        super().__init__(partial(get_default_host_creds, self.address))
        folder = os.environ.get(run_environment.SPOOL)
        if not folder or not (Path(folder) / "run.json").exists():
            raise MlflowException(
                f"{store_uri} needs the folder of a run's spool in {run_environment.SPOOL}, "
                "which `trainer run` makes. "
                f"Outside of a run use {self.address}",
                INVALID_PARAMETER_VALUE,
            )
        self.spool = Spool(Path(folder))
        self.view = View(self.spool)
        if self.spool.leaves_artifacts:
            info = cast(dict[str, str], self.spool.run()["info"])
            artifacts.take(info["artifact_uri"].removesuffix(f"/{info['run_id']}/artifacts"))
        self.transport = MlflowTransport(self.address)
        self.sender = Sender(self.spool, self.transport)
        self.sender.wake()
        self._old_version: str | None = None  # not asked for, or not answered; "" of a server with models

    def append(self, record: Record) -> None:
        """Write a record down; raises `MlflowException` at once when the disk is full."""
        try:
            self.spool.append(record)
        except SpoolError as error:
            raise MlflowException(str(error)) from error
        self.sender.wake()

    def keep(self, file: Path, uri: str, folder: str) -> None:
        """Put a file into the outbox; it goes into `folder` of the artifacts at `uri`.

        Raises `MlflowException` when the disk is full, and `FileNotFoundError`, as MLflow does.
        """
        name = stored(file.name)
        if (name, stored(folder)) != (file.name, folder):
            asked, told = (
                str(PurePosixPath(*path)) for path in ((folder, file.name), (stored(folder), name))
            )
            os.write(
                2, f"Tracking: the server cannot store the name {asked!r}: it is {told!r} there.\n".encode()
            )
        try:
            self.append({"file": self.spool.keep(file, name), "uri": uri, "path": stored(folder)})
        except SpoolError as error:
            raise MlflowException(str(error)) from error

    def log_metric(self, run_id: str, metric: Metric) -> None:
        """As a batch of one."""
        self.log_batch(run_id, [metric], [], [])

    def log_param(self, run_id: str, param: Param) -> None:
        """As a batch of one."""
        self.log_batch(run_id, [], [param], [])

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """As a batch of one."""
        self.log_batch(run_id, [], [], [tag])

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> None:
        """Write a batch down, checked as the server will check it."""
        _validate_batch_log_limits(metrics, params, tags)
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        if params:
            self._check_unchanged(run_id, params)
        super().log_batch(run_id, metrics, params, tags)

    def _check_unchanged(self, run_id: str, params: Sequence[Param]) -> None:
        run = self.view.run(run_id)
        data = cast(dict[str, list[dict[str, str]]], run["data"] if run else {})
        known = {param["key"]: param["value"] for param in data.get("params", [])}
        for param in params:
            if known.get(param.key, param.value) != param.value:
                raise MlflowException(
                    f"Changing param values is not allowed. Param with key='{param.key}' was already logged "
                    f"with value='{known[param.key]}' for run ID='{run_id}'. Attempted logging new value "
                    f"'{param.value}'.",
                    INVALID_PARAMETER_VALUE,
                )

    def _call_endpoint(
        self,
        method: type[Message],
        json_body: str | None = None,
        endpoint: str | None = None,
        retry_timeout_seconds: float | None = None,  # noqa: ARG002 (MLflow's)
        response_proto: Message | None = None,
    ) -> Message:
        """Where all of MLflow's calls come together: written down, made, or asked."""
        methods = self._V3_METHOD_TO_INFO if method in self._V3_APIS else self._METHOD_TO_INFO
        path, verb = methods[method]
        request = {"method": verb, "path": endpoint or path}
        if json_body is not None:
            request["body"] = json.loads(json_body)
        response = response_proto or method.Response()
        if method in _DEFERRED:
            self.append(request)
            if method in (api.FinalizeLoggedModel, api.UpdateRun):
                self._fill(response, self._known(method, request))
        elif method in (api.CreateRun, api.CreateLoggedModel):
            self._fill(response, self._make(method is api.CreateRun, request))
        else:
            self._fill(response, self._ask(request, partial(self._known, method, request)))
        return response

    def _fill(self, response: Message, payload: Record | None) -> None:
        if payload is not None:
            parse_dict(js_dict=payload, message=response)

    def _make(self, is_run: bool, request: Record) -> Record:
        """Ask the server for a run or a model; with the server away make up an id that delivery translates.

        A request may have been heard though no answer came. By its tag, delivery finds what it made.
        """
        kind, prefix = ("run", "") if is_run else ("model", "m-")
        local = prefix + uuid.uuid4().hex
        body = cast(Record, request["body"])
        body["tags"] = [*cast(list[Record], body.get("tags") or []), {"key": OFFLINE_TAG, "value": local}]
        try:
            if (not is_run and self._version_without_models()) or self.sender.away:
                raise ServerUnavailable
            response = self._send(request)
            if response.status == 200:
                made = cast(Record, response.json()[kind])
                self.append({"known": kind, kind: made})
                return {kind: made}
            self._refuse(response)
        except ServerUnavailable:
            uri = f"mlflow-artifacts:/offline/{local}/artifacts"
            self.append({"create": kind, "local": local, "uri": uri, "body": body})
            record = self.view.run(local) if is_run else self.view.model(local)
            return {kind: record}

    def _version_without_models(self) -> str:
        """The server's version if it has no logged models; empty where it has, and where nobody can say."""
        if self._old_version is None and not self.sender.away:
            try:
                self._old_version = models.version_without(self.transport) or ""
            except ServerUnavailable:
                self.sender.away = True  # as in `_send`
            if self._old_version:
                message = (
                    f"Tracking: the server has MLflow {self._old_version}, without logged models (MLflow 3): "
                    "models are stored in the artifacts of their runs.\n"
                )
                os.write(2, message.encode())
        return self._old_version or ""

    def _ask(self, request: Record, known: Callable[[], Record | None]) -> Record:
        """The server's answer; where it is away, or has not heard all yet, what is known here."""
        if models.is_about_models(request["path"]) and (version := self._version_without_models()):
            if (payload := known()) is not None:
                return payload
            raise MlflowException(
                f"{request['path']} needs a server with MLflow 3 (logged models); this one has {version}.",
                FEATURE_DISABLED,
            )
        if not self.sender.drain(_PATIENCE_S) and (payload := known()) is not None:
            return payload
        try:
            response = self._send(request)
            if response.status == 200:
                return response.json()
            return self._refuse(response)
        except ServerUnavailable as error:
            payload = known()
            if payload is not None:
                return payload
            raise MlflowException(
                f"{request['path']} was asked of the tracking server, but {error or 'it is away'}. "
                "Logging goes on without it; questions like this one cannot be answered here.",
                TEMPORARILY_UNAVAILABLE,
            ) from None

    def _send(self, request: Record) -> Response:
        request = json.loads(replaced(json.dumps(request), self.spool.names()))
        method, path, body = str(request["method"]), str(request["path"]), request.get("body")
        query = cast(dict[str, str], body) if method == "GET" else None
        send = partial(self.transport.send, method, path, body if query is None else None, query=query)
        try:
            try:
                return send()
            except ConnectionDropped:
                if path in _CREATING:
                    raise
                return send()  # on a fresh connection
        except ServerUnavailable:
            self.sender.away = True  # until something is delivered again: the next question need not wait
            raise

    def _refuse(self, response: Response) -> NoReturn:
        payload = response.json()
        if "error_code" not in payload or response.status in (401, 403, 429) or response.status >= 500:
            raise ServerUnavailable(f"the server answered {response.status}")
        raise RestException(payload)

    def _known(self, method: type[Message], request: Record) -> Record | None:
        """The answer from what is written down here, in the API's form; None where it cannot say."""
        body = cast(dict[str, str], request.get("body") or {})
        if method is api.GetRun:
            run = self.view.run(body["run_id"])
            return {"run": run} if run else None
        if method is api.UpdateRun:
            run = self.view.run(body["run_id"])
            return {"run_info": run["info"] if run else body}
        if method is api.GetMetricHistory and self.view.run(body["run_id"]):
            return {"metrics": self.view.history(body["run_id"], body["metric_key"])}
        if method in (api.GetLoggedModel, api.FinalizeLoggedModel):
            model_id = str(request["path"]).rpartition("/")[2].partition("?")[0]
            model = self.view.model(model_id)
            if model is None and method is api.FinalizeLoggedModel:
                model = {"info": {"model_id": model_id, "status": body["status"],
                                  "last_updated_timestamp_ms": int(time.time() * 1000)}}  # fmt: skip
            return {"model": model} if model else None
        if method is api.SearchLoggedModels and (named := _BY_NAME.fullmatch(body.get("filter", ""))):
            # MLflow looks there for every artifact. On an old server they are among the run's own.
            is_there = (
                self._old_version and not self.spool.leaves_artifacts and self.sender.drain(_PATIENCE_S)
            )
            return {"models": [] if is_there else self.view.models(named[1])}
        if method is api.GetExperiment:
            experiment = self.view.experiment(body["experiment_id"])
            return {"experiment": experiment} if experiment else None
        return None
