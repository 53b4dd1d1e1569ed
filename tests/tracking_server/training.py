"""Runs that report to a server over HTTP, without MLflow's client and its retries: every answer is seen."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any

from tracking_server.asking import ADMIN, PASSWORD, authorization

Json = dict[str, Any]  # Any: as JSON is


class Refused(Exception):
    """The server answered, with something else than 200."""


@dataclass
class Client:
    """One connection that is kept, as a training has."""

    port: int
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def send(self, method: str, path: str, body: bytes | None = None, timeout_s: float = 60) -> bytes:
        """The body of a 200; raises `Refused`, or `OSError` where there was no answer."""
        headers = {"Authorization": authorization(ADMIN, PASSWORD), "Content-Type": "application/json"}
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        self._connection = None  # kept only where it is known to be in order
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except http.client.HTTPException as error:
            connection.close()
            raise ConnectionError(repr(error)) from None
        except OSError:
            connection.close()
            raise
        if answer.status != 200:
            raise Refused(f"{method} {path}: {answer.status} {said[:300]!r}")
        self._connection = connection
        return said

    def call(self, path: str, **body: object) -> Json:
        """POST to the REST API."""
        payload: Json = json.loads(self.send("POST", f"/api/2.0/mlflow/{path}", json.dumps(body).encode()))
        return payload

    def new_run(self, experiment: str = "0", **more: object) -> str:
        """The id of a run that is begun."""
        run: Json = self.call("runs/create", experiment_id=experiment, start_time=now_ms(), **more)["run"]
        return str(run["info"]["run_id"])

    def log(self, run_id: str, key: str, step: int, count: int = 100) -> None:
        """One batch of metrics; the value of each is its step."""
        metrics = [
            {"key": key, "value": number, "step": number, "timestamp": now_ms()}
            for number in range(step, step + count)
        ]
        self.call("runs/log-batch", run_id=run_id, metrics=metrics)

    def steps(self, run_id: str, key: str) -> set[int]:
        """The steps of a metric that the server has."""
        path = f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key={key}&max_results=25000"
        return {int(metric.get("step", 0)) for metric in json.loads(self.send("GET", path))["metrics"]}


def now_ms() -> int:
    """The time as MLflow writes it."""
    return int(time.time() * 1000)
