"""What a spool says about its runs and models, for questions that the server cannot answer now."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import cast

from trainkit.spool.journal import Record, Spool
from trainkit.spool.names import replaced
from trainkit.spool.responses import API, LOG_BATCH


class View:
    """Runs and models in the form of MLflow's REST API, as `run.json` and the journal tell them."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._read = 0
        self._runs: dict[str, _Run] = {}
        self._models: dict[str, Record] = {}
        self._experiments: dict[str, Record] = {}
        run = spool.run()
        if "experiment" in run:
            experiment = cast(Record, run["experiment"])
            self._experiments[str(experiment["experiment_id"])] = experiment
        self._runs[str(cast(Record, run["info"])["run_id"])] = _Run(run)

    def run(self, run_id: str) -> Record | None:
        """The run with its latest metrics, parameters and tags."""
        self._refresh()
        run = self._runs.get(run_id)
        return run.as_json() if run else None

    def running_below(self, run_id: str) -> list[str]:
        """The runs within that one, and within those, whose end was not logged."""
        self._refresh()
        below, seen = [run_id], {run_id}
        for parent in below:
            children = [child for child, run in self._runs.items() if run.parent == parent]
            below += [child for child in children if child not in seen]
            seen.update(children)
        return [child for child in below[1:] if self._runs[child].is_running]

    def model(self, model_id: str) -> Record | None:
        """A model that was made through this spool."""
        self._refresh()
        return self._models.get(model_id)

    def models(self, name: str) -> list[Record]:
        """The models of that name."""
        self._refresh()
        return [model for model in self._models.values() if cast(Record, model["info"]).get("name") == name]

    def experiment(self, experiment_id: str) -> Record | None:
        """The run's own experiment."""
        self._refresh()
        return self._experiments.get(experiment_id)

    def history(self, run_id: str, key: str) -> list[Record]:
        """All points of a metric."""
        points = []
        for entry in self._spool.entries():
            if entry.record and entry.record.get("path") == LOG_BATCH:
                body = cast(Record, entry.record["body"])
                if body["run_id"] == run_id:
                    points += [m for m in cast(list[Record], body.get("metrics") or []) if m["key"] == key]
        return points

    def files(self, uri: str) -> dict[str, str]:
        """The artifacts below an address: path there → place in the spool's folder, delivered or not.

        What was logged by a made-up address is found by the server's, too.
        """
        files, names = {}, self._spool.names()
        wanted = replaced(uri, names)
        for entry in self._spool.entries():
            if entry.record and "file" in entry.record:
                root, folder, file = (str(entry.record[name]) for name in ("uri", "path", "file"))
                parts = [replaced(root, names), folder, file.rpartition("/")[2]]
                path = "/".join(filter(None, parts))
                if path.startswith(f"{wanted}/"):
                    files[path.removeprefix(f"{wanted}/")] = file
        return files

    def _refresh(self) -> None:
        with self._lock:
            for entry in self._spool.entries(self._read):
                self._read = entry.end
                if entry.record:
                    self._take(entry.record)

    def _take(self, record: Record) -> None:
        body = cast(Record, record.get("body") or {})
        match record.get("known") or record.get("create"):
            case "run":
                run = cast(Record, record.get("run") or _new_run(record))
                self._runs[str(cast(Record, run["info"])["run_id"])] = _Run(run)
                return
            case "model":
                model = cast(Record, record.get("model") or _new_model(record))
                self._models[str(cast(Record, model["info"])["model_id"])] = model
                return
            case "experiment":
                return
        path = str(record.get("path"))
        if path.startswith(f"{API}/logged-models/") and path.rpartition("/")[2] in self._models:
            info = cast(Record, self._models[path.rpartition("/")[2]]["info"])
            info["status"] = body.get("status", info.get("status"))
        elif str(body.get("run_id")) in self._runs:
            self._runs[str(body["run_id"])].take(path, body)


class _Run:
    def __init__(self, run: Mapping[str, object]) -> None:
        data = cast(Record, run.get("data") or {})
        self._info = dict(cast(Record, run["info"]))
        self._inputs = cast(Record, run.get("inputs") or {})
        self._metrics = {m["key"]: m for m in cast(list[Record], data.get("metrics") or [])}
        self._params = {p["key"]: p for p in cast(list[Record], data.get("params") or [])}
        self._tags = {t["key"]: t for t in cast(list[Record], data.get("tags") or [])}

    @property
    def parent(self) -> object:
        return self._tags.get("mlflow.parentRunId", {}).get("value")

    @property
    def is_running(self) -> bool:
        return self._info.get("status") == "RUNNING"

    def take(self, path: str, body: Record) -> None:
        match path.removeprefix(f"{API}/runs/"):
            case "log-batch":
                for metric in cast(list[Record], body.get("metrics") or []):
                    latest = self._metrics.get(metric["key"])
                    if latest is None or _age(metric) >= _age(latest):
                        self._metrics[metric["key"]] = metric
                self._params |= {p["key"]: p for p in cast(list[Record], body.get("params") or [])}
                self._tags |= {t["key"]: t for t in cast(list[Record], body.get("tags") or [])}
            case "delete-tag":
                self._tags.pop(body["key"], None)
            case "update":
                changed = ("status", "end_time", "run_name")
                self._info |= {name: body[name] for name in changed if body.get(name)}

    def as_json(self) -> Record:
        data = {
            "metrics": list(self._metrics.values()),
            "params": list(self._params.values()),
            "tags": list(self._tags.values()),
        }
        return {"info": dict(self._info), "data": data, "inputs": self._inputs}


def _age(metric: Record) -> tuple[int, int]:
    # The API writes whole numbers of 64 bits as text, sometimes.
    return int(str(metric.get("step") or 0)), int(str(metric.get("timestamp") or 0))


def _new_run(record: Record) -> Record:
    body = cast(Record, record["body"])
    info = {
        "run_id": record["local"], "run_uuid": record["local"], "experiment_id": body["experiment_id"],
        "run_name": body.get("run_name") or "", "user_id": body.get("user_id") or "", "status": "RUNNING",
        "start_time": body["start_time"], "artifact_uri": record["uri"], "lifecycle_stage": "active",
    }  # fmt: skip
    return {"info": info, "data": {"tags": body.get("tags") or []}}


def _new_model(record: Record) -> Record:
    body, now = cast(Record, record["body"]), int(time.time() * 1000)
    info = {
        "model_id": record["local"], "experiment_id": body["experiment_id"], "name": body.get("name"),
        "creation_timestamp_ms": now, "last_updated_timestamp_ms": now, "artifact_uri": record["uri"],
        "status": "LOGGED_MODEL_PENDING", "model_type": body.get("model_type"),
        "source_run_id": body.get("source_run_id"), "tags": body.get("tags") or [],
    }  # fmt: skip
    return {
        "info": {k: v for k, v in info.items() if v is not None},
        "data": {"params": body.get("params") or []},
    }
