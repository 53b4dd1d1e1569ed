"""Which of MLflow's routes this server offers. What is not in the table is refused, whatever MLflow would do.

Left out are those that make the server ask other hosts (gateway, webhooks), run code (jobs, scorers,
evaluations, the assistant, demo), or write where a request says (prompt lab, presigned uploads, workspaces).
MLflow's page is served without the assistant, whose panel it would open by itself: no setting prevents that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Check = Literal["upload", "location", "source", "tags", ""]
"""What of a request is looked at: see `locations`. An upload is passed on as it comes, of any length."""


_HIDDEN = "<style>[data-assistant-ui] {display: none !important}</style>"


@dataclass(frozen=True)
class Route:
    """One route as it is offered."""

    methods: frozenset[str]
    pattern: re.Pattern[str]
    check: Check


# `/api/` stands for `/ajax-api/` too, <name> for one part of a path, <path> for the rest of it.
_TABLE = """
GET              /
GET              /version
GET              /static-files/<path>
GET              /signup
GET              /get-artifact
GET              /model-versions/get-artifact
POST             /graphql
POST             /v1/traces
GET,DELETE       /api/2.0/mlflow-artifacts/artifacts/<path>
GET              /api/2.0/mlflow-artifacts/artifacts
PUT              /api/2.0/mlflow-artifacts/artifacts/<path> upload
POST             /api/2.0/mlflow-artifacts/mpu/abort/<path>
POST             /api/2.0/mlflow-artifacts/mpu/complete/<path>
POST             /api/2.0/mlflow-artifacts/mpu/create/<path>
GET              /api/2.0/mlflow-artifacts/presigned/<path>
GET              /api/2.0/mlflow/artifacts/list
POST             /api/2.0/mlflow/artifacts/presigned-download-url
POST             /api/2.0/mlflow/experiments/create location
POST             /api/2.0/mlflow/experiments/delete
POST             /api/2.0/mlflow/experiments/delete-experiment-tag
GET              /api/2.0/mlflow/experiments/get
GET              /api/2.0/mlflow/experiments/get-by-name
POST             /api/2.0/mlflow/experiments/restore
GET,POST         /api/2.0/mlflow/experiments/search
POST             /api/2.0/mlflow/experiments/search-datasets
POST             /api/2.0/mlflow/experiments/set-experiment-tag
POST             /api/2.0/mlflow/experiments/update
GET              /api/2.0/mlflow/get-trace-artifact
POST             /api/2.0/mlflow/logged-models
GET,PATCH,DELETE /api/2.0/mlflow/logged-models/<id>
GET              /api/2.0/mlflow/logged-models/<id>/artifacts/directories
GET              /api/2.0/mlflow/logged-models/<id>/artifacts/files
POST             /api/2.0/mlflow/logged-models/<id>/params
PATCH            /api/2.0/mlflow/logged-models/<id>/tags
DELETE           /api/2.0/mlflow/logged-models/<id>/tags/<key>
POST             /api/2.0/mlflow/logged-models/search
GET              /api/2.0/mlflow/metrics/get-history
GET              /api/2.0/mlflow/metrics/get-history-bulk
GET              /api/2.0/mlflow/metrics/get-history-bulk-interval
POST             /api/2.0/mlflow/model-versions/create source
DELETE           /api/2.0/mlflow/model-versions/delete
DELETE           /api/2.0/mlflow/model-versions/delete-tag
GET              /api/2.0/mlflow/model-versions/get
GET              /api/2.0/mlflow/model-versions/get-download-uri
GET              /api/2.0/mlflow/model-versions/search
POST             /api/2.0/mlflow/model-versions/set-tag
POST             /api/2.0/mlflow/model-versions/transition-stage
PATCH            /api/2.0/mlflow/model-versions/update
GET,POST,DELETE  /api/2.0/mlflow/registered-models/alias
POST             /api/2.0/mlflow/registered-models/create
DELETE           /api/2.0/mlflow/registered-models/delete
DELETE           /api/2.0/mlflow/registered-models/delete-tag
GET              /api/2.0/mlflow/registered-models/get
GET,POST         /api/2.0/mlflow/registered-models/get-latest-versions
POST             /api/2.0/mlflow/registered-models/rename
GET              /api/2.0/mlflow/registered-models/search
POST             /api/2.0/mlflow/registered-models/set-tag
PATCH            /api/2.0/mlflow/registered-models/update
POST             /api/2.0/mlflow/runs/create
POST             /api/2.0/mlflow/runs/delete
POST             /api/2.0/mlflow/runs/delete-tag
GET              /api/2.0/mlflow/runs/get
POST             /api/2.0/mlflow/runs/log-batch
POST             /api/2.0/mlflow/runs/log-inputs
POST             /api/2.0/mlflow/runs/log-metric
POST             /api/2.0/mlflow/runs/log-model
POST             /api/2.0/mlflow/runs/log-parameter
POST             /api/2.0/mlflow/runs/outputs
POST             /api/2.0/mlflow/runs/restore
POST             /api/2.0/mlflow/runs/search
POST             /api/2.0/mlflow/runs/set-tag
POST             /api/2.0/mlflow/runs/update
GET              /api/2.0/mlflow/traces
POST             /api/2.0/mlflow/traces tags
PATCH            /api/2.0/mlflow/traces/<id> tags
GET              /api/2.0/mlflow/traces/<id>/info
PATCH            /api/2.0/mlflow/traces/<id>/tags tags
DELETE           /api/2.0/mlflow/traces/<id>/tags
POST             /api/2.0/mlflow/traces/delete-traces
POST             /api/2.0/mlflow/traces/link-prompts
POST             /api/2.0/mlflow/traces/link-to-run
POST             /api/2.0/mlflow/upload-artifact
POST             /api/2.0/mlflow/users/create
POST             /api/2.0/mlflow/users/create-ui
GET              /api/2.0/mlflow/users/current
DELETE           /api/2.0/mlflow/users/delete
GET              /api/2.0/mlflow/users/get
GET              /api/2.0/mlflow/users/list
PATCH            /api/2.0/mlflow/users/update-admin
PATCH            /api/2.0/mlflow/users/update-password
GET,DELETE       /api/3.0/mlflow/datasets/<id>
POST             /api/3.0/mlflow/datasets/<id>/add-experiments
GET              /api/3.0/mlflow/datasets/<id>/experiment-ids
GET,POST,DELETE  /api/3.0/mlflow/datasets/<id>/records
POST             /api/3.0/mlflow/datasets/<id>/remove-experiments
PATCH            /api/3.0/mlflow/datasets/<id>/tags
DELETE           /api/3.0/mlflow/datasets/<id>/tags/<key>
POST             /api/3.0/mlflow/datasets/create
GET,POST         /api/3.0/mlflow/datasets/search
GET              /api/3.0/mlflow/get-trace-artifact
POST             /api/3.0/mlflow/issues
GET,PATCH        /api/3.0/mlflow/issues/<id>
POST             /api/3.0/mlflow/issues/search
POST             /api/3.0/mlflow/label-schemas/create
DELETE           /api/3.0/mlflow/label-schemas/delete
GET              /api/3.0/mlflow/label-schemas/get
GET              /api/3.0/mlflow/label-schemas/get-by-name
GET              /api/3.0/mlflow/label-schemas/list
PATCH            /api/3.0/mlflow/label-schemas/update
POST             /api/3.0/mlflow/review-queues/create
POST             /api/3.0/mlflow/review-queues/delete
GET              /api/3.0/mlflow/review-queues/get
GET              /api/3.0/mlflow/review-queues/get-by-name
POST             /api/3.0/mlflow/review-queues/get-or-create-user
POST             /api/3.0/mlflow/review-queues/items/add
GET              /api/3.0/mlflow/review-queues/items/list
POST             /api/3.0/mlflow/review-queues/items/remove
POST             /api/3.0/mlflow/review-queues/items/set-status
GET              /api/3.0/mlflow/review-queues/list
POST             /api/3.0/mlflow/review-queues/update
POST             /api/3.0/mlflow/roles/assign
POST             /api/3.0/mlflow/roles/create
DELETE           /api/3.0/mlflow/roles/delete
GET              /api/3.0/mlflow/roles/get
GET              /api/3.0/mlflow/roles/list
POST             /api/3.0/mlflow/roles/permissions/add
GET              /api/3.0/mlflow/roles/permissions/list
DELETE           /api/3.0/mlflow/roles/permissions/remove
PATCH            /api/3.0/mlflow/roles/permissions/update
DELETE           /api/3.0/mlflow/roles/unassign
PATCH            /api/3.0/mlflow/roles/update
GET              /api/3.0/mlflow/roles/users/list
GET              /api/3.0/mlflow/server-info
POST             /api/3.0/mlflow/traces tags
GET              /api/3.0/mlflow/traces/<id>
POST             /api/3.0/mlflow/traces/<id>/assessments
GET,PATCH,DELETE /api/3.0/mlflow/traces/<id>/assessments/<key>
PATCH            /api/3.0/mlflow/traces/<id>/tags tags
DELETE           /api/3.0/mlflow/traces/<id>/tags
GET              /api/3.0/mlflow/traces/batchGet
POST             /api/3.0/mlflow/traces/batchGetInfos
POST             /api/3.0/mlflow/traces/calculate-filter-correlation
POST             /api/3.0/mlflow/traces/delete-traces
GET              /api/3.0/mlflow/traces/get
POST             /api/3.0/mlflow/traces/metrics
POST             /api/3.0/mlflow/traces/search
GET              /api/3.0/mlflow/ui-telemetry
GET              /api/3.0/mlflow/users/current/permissions
GET              /api/3.0/mlflow/users/permissions/get
POST             /api/3.0/mlflow/users/permissions/grant
GET              /api/3.0/mlflow/users/permissions/list
POST             /api/3.0/mlflow/users/permissions/revoke
GET              /api/3.0/mlflow/users/roles/list
"""


def find(method: str, path: str) -> Route | None:
    """The route that a request takes; None for one that is not offered."""
    wanted_method = "GET" if method == "HEAD" else method
    return next(
        (route for route in ALL if wanted_method in route.methods and route.pattern.fullmatch(path)), None
    )


def hide_assistant() -> None:
    """Have this process serve MLflow's page without panel and buttons of the assistant."""
    from mlflow.server import app

    page = Path(app.static_folder, "index.html").read_text().replace("</head>", f"{_HIDDEN}</head>", 1)
    app.view_functions["serve"] = lambda: page


def _read(line: str) -> Route:
    methods, path, *check = line.split()
    pattern = re.escape(path).replace("<path>", "(?s:.+)")
    pattern = re.sub(r"<\w+>", "[^/]+", pattern).replace("/api/", "/(?:ajax-)?api/", 1)
    [kind] = check or [""]
    return Route(frozenset(methods.split(",")), re.compile(pattern), kind)  # type: ignore[arg-type]


# Those that take any name come last, as in MLflow.
ALL = tuple(map(_read, sorted(_TABLE.split("\n")[1:-1], key=lambda line: "<" in line)))
