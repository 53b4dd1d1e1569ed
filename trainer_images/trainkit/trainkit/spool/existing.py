"""What the tracking server would make or take twice, and what it has of that already.

A new run, experiment or model, the models of a run's outputs, and MLflow 2's description of a model: each is
looked for before it is sent, because an earlier try may have sent it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from trainkit.spool import models, refusals
from trainkit.spool.journal import Record
from trainkit.spool.names import by_tag
from trainkit.spool.responses import API, Response, ServerUnavailable, Transport, error_code, why


class NotCreated(ServerUnavailable):
    """The server answered, and did not make what it was asked to."""

    def __init__(self, response: Response) -> None:
        super().__init__(why(response))
        self.response = response


def create(
    transport: Transport, record: Record, local: str, info: Mapping[str, str], run_id: str
) -> dict[str, str]:
    """Make what was made up as `local` while the server was away; returns what the server calls it.

    `info` is that of the spool's run as it began, `run_id` what the server calls this run now. Raises
    `NotCreated`.
    """
    body = cast(dict[str, object], record["body"])
    match record["create"]:
        case "experiment":
            return {local: _experiment(transport, body)}
        case "run":
            where = {"experiment_ids": [body["experiment_id"]], "run_view_type": "ALL", "max_results": 1}
            existing = _find(transport, f"{API}/runs/search", {**where, "filter": by_tag(local)}, "runs")
            run = existing or _post(transport, f"{API}/runs/create", body)["run"]
            created = cast(Mapping[str, Mapping[str, str]], run)["info"]
            return {local: created["run_id"], str(record["uri"]): created["artifact_uri"]}
        case _ if models.version_without(transport):
            known = _run(transport, str(body.get("source_run_id") or run_id))
            return models.names(local, record, cast(Mapping[str, str], known.get("info") or info))
        case _:
            where = {"experiment_ids": [body["experiment_id"]], "max_results": 1}
            asking = {**where, "filter": by_tag(local)}
            existing = _find(transport, f"{API}/logged-models/search", asking, "models")
            model = existing or _post(transport, f"{API}/logged-models", body)["model"]
            created = cast(Mapping[str, Mapping[str, str]], model)["info"]
            return {local: created["model_id"], str(record["uri"]): created["artifact_uri"]}


def without(transport: Transport, record: Record) -> object:
    """The body to send, without what the server has and would take again; None if nothing is left."""
    body = cast(dict[str, object], record.get("body") or {})
    if str(record["path"]).endswith("/runs/outputs"):
        outputs = cast(list[dict[str, object]], body["models"])
        there = cast(dict[str, object], _run(transport, str(body["run_id"])).get("outputs") or {})
        has = {str(model["model_id"]) for model in cast(list[Record], there.get("model_outputs") or [])}
        missing = [model for model in outputs if str(model["model_id"]) not in has]
        return {**body, "models": missing} if missing else None
    if str(record["path"]).endswith("/runs/log-model"):
        described = json.loads(str(body["model_json"]))
        data = cast(dict[str, object], _run(transport, str(body["run_id"])).get("data") or {})
        tags = {str(t["key"]): str(t["value"]) for t in cast(list[Record], data.get("tags") or [])}
        history = json.loads(tags.get("mlflow.log-model.history", "[]"))
        is_there = any(model.get("model_uuid") == described.get("model_uuid") for model in history)
        return None if is_there else body
    return record.get("body")


def _experiment(transport: Transport, body: Mapping[str, object]) -> str:
    query = {"experiment_name": str(body["name"])}
    for _ in range(2):  # between the two questions somebody else may have made it
        existing = transport.send("GET", f"{API}/experiments/get-by-name", query=query)
        if existing.status == 200:
            return str(cast(Mapping[str, object], existing.json()["experiment"])["experiment_id"])
        if error_code(existing) != "RESOURCE_DOES_NOT_EXIST":
            raise NotCreated(existing)
        created = transport.send("POST", f"{API}/experiments/create", body)
        if created.status == 200:
            return str(created.json()["experiment_id"])
    raise NotCreated(created)


def _find(transport: Transport, path: str, body: object, key: str) -> object:
    answers = cast(list[object], _post(transport, path, body).get(key) or [None])
    return answers[0]


def _post(transport: Transport, path: str, body: object) -> Record:
    response = transport.send("POST", path, body)
    if response.status != 200:
        raise NotCreated(response)
    return response.json()


def _run(transport: Transport, run_id: str) -> Record:
    response = transport.send("GET", f"{API}/runs/get", query={"run_id": run_id})
    if response.status != 200:
        if error_code(response) in refusals.CODES:
            return {}  # the request itself will say what is wrong
        raise ServerUnavailable(why(response))
    return cast(Record, response.json()["run"])
