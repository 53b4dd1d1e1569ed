"""Runs as a tracking server's API writes them, and a server that has them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from unit.helpers import HttpServer, Reply
from unit.runs.helpers import API

START_MS = 1_700_000_000_000


def run(
    run_id: str,
    name: str,
    *,
    metrics: Mapping[str, float | str] | None = None,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
    experiment: str = "7",
    start: int = START_MS,
    took: int | None = 5000,
    status: str = "FINISHED",
) -> dict[str, object]:
    """One run of an answer; times in milliseconds."""
    end = {} if took is None else {"end_time": start + took}
    return {
        "info": {
            "run_id": run_id, "experiment_id": experiment, "run_name": name, "status": status,
            "artifact_uri": f"mlflow-artifacts:/7/{run_id}/artifacts", "start_time": start, **end,
        },
        "data": {
            "metrics": [{"key": key, "value": value} for key, value in (metrics or {}).items()],
            "params": [{"key": key, "value": value} for key, value in (params or {}).items()],
            "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
        },
        "inputs": {
            "dataset_inputs": [{"dataset": {"name": n, "digest": d}} for n, d in (inputs or {}).items()]
        },
    }  # fmt: skip


def has(server: HttpServer, *pages: list[dict[str, object]], **experiments: str) -> None:
    """The server answers searches with these pages of runs; the experiments are names by `e`ID."""
    named = experiments or {"e7": "demo"}
    listed = [{"experiment_id": key[1:], "name": name} for key, name in named.items()]
    server.replies[f"{API}/experiments/search"] = [Reply(body=json.dumps({"experiments": listed}))]
    server.replies[f"{API}/runs/search"] = [
        Reply(body=json.dumps({"runs": page, **({"next_page_token": f"t{n}"} if n < len(pages) else {})}))
        for n, page in enumerate(pages, 1)
    ]


def searches(server: HttpServer) -> list[dict[str, object]]:
    """What the server was asked of runs."""
    return [json.loads(asked.body) for asked in server.asked if asked.path.startswith(f"{API}/runs/search")]
