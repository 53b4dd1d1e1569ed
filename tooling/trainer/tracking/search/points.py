"""The curves of runs' metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast
from urllib.parse import urlencode

from trainer.tracking.client import Client

POINTS = 200  # of a curve: more than a terminal or a small chart can show
_API = "/api/2.0/mlflow"
_RUNS_A_CALL = 100  # the server's limit for curves


@dataclass(frozen=True)
class Point:
    """A value of a metric at a step."""

    step: int
    value: float


class _Point(TypedDict):
    run_id: str
    step: NotRequired[int]
    value: float | str
    timestamp: int


def curves(client: Client, run_ids: Sequence[str], metric: str) -> dict[str, tuple[Point, ...]]:
    """The values of one metric by run and in the order of steps; of a long curve an even sample."""
    by_run: dict[str, list[_Point]] = {run_id: [] for run_id in run_ids}
    for start in range(0, len(run_ids), _RUNS_A_CALL):
        for point in _points(client, run_ids[start : start + _RUNS_A_CALL], metric):
            by_run.setdefault(point["run_id"], []).append(point)
    return {run_id: _curve(points) for run_id, points in by_run.items()}


def _points(client: Client, run_ids: Sequence[str], metric: str) -> list[_Point]:
    query_string = urlencode({"run_ids": run_ids, "metric_key": metric, "max_results": POINTS}, doseq=True)
    answer = client.send("GET", f"{_API}/metrics/get-history-bulk-interval?{query_string}", ok=(404,))
    if answer.ok:
        return cast(list[_Point], answer.json().get("metrics", []))
    points: list[_Point] = []
    for run_id in run_ids:  # a server from before there was a call for several runs
        query = {"run_id": run_id, "metric_key": metric}
        payload = client.send("GET", f"{_API}/metrics/get-history", query=query).json()
        points += [{**point, "run_id": run_id} for point in cast(list[_Point], payload.get("metrics", []))]
    return points


def _curve(points: list[_Point]) -> tuple[Point, ...]:
    in_order = sorted(points, key=lambda point: (int(point.get("step", 0)), int(point["timestamp"])))
    thinned = in_order[:: max(1, math.ceil(len(in_order) / POINTS))]
    if in_order and thinned[-1] is not in_order[-1]:
        thinned.append(in_order[-1])
    return tuple(Point(int(point.get("step", 0)), float(point["value"])) for point in thinned)
