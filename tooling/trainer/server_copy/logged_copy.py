"""Logged models are made on the other server, filled, compared, and only then given their status.

As with runs, a copy that is READY or FAILED on its server was complete before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

from trainer.errors import TrackingError
from trainer.server_copy import content, logged, reading, run_copy
from trainer.server_copy.logged import LoggedModel, Metric, ModelArtifacts
from trainer.server_copy.reading import API, Record
from trainer.server_copy.report import Report, refused
from trainer.tracking import run_tags
from trainer.tracking.client import Client

_PENDING = "LOGGED_MODEL_PENDING"


def made(
    target: Client, uri: str, original: LoggedModel, experiment_id: str, ids: Mapping[str, str]
) -> LoggedModel:  # fmt: skip
    """A new one, with everything that can only be said when it is made."""
    body = {
        "experiment_id": experiment_id, "name": original.name, "model_type": original.kind,
        "source_run_id": ids.get(original.run_id, ""),
        "params": [{"key": key, "value": value} for key, value in original.params.items()],
        "tags": [
            *({"key": key, "value": content.translated(value, ids)} for key, value in original.tags.items()
              if key != run_tags.COPIED_FROM),
            {"key": run_tags.COPIED_FROM, "value": f"{uri}/{original.id}"},
        ],
    }  # fmt: skip
    answer = reading.said(target, "POST", "logged-models", body)
    return logged.read(cast(Mapping[str, object], answer["model"]))


def complete(
    origin: Client, original: LoggedModel, target: Client, copied: LoggedModel, runs: Mapping[str, Record],
    folder: Path, report: Report,
) -> None:  # fmt: skip
    """Bring its artifacts and its metrics, compare, and give it its status. `runs` are copies."""
    where, holder = f"logged model {original.name} ({original.id})", ModelArtifacts(target, copied)
    source = ModelArtifacts(origin, original)
    files, present = source.listed(), holder.listed()
    is_ready = copied.status != _PENDING
    missing = [path for path in files if not is_ready or present.get(path) != files[path]]
    problems = run_copy.transfer(target, source, holder, missing, folder)
    new = [path for path in missing if path not in present and ("artifacts", path) not in problems]
    report.made["artifacts"] += len(new)
    for (_, path), error in problems.items():
        report.tell(where, f"artifact {path}", error)
    report.compared("artifacts", len(files), len(files) - len(problems))
    metrics = {_form(metric, runs): metric for metric in original.metrics}
    for form in sorted(metrics.keys() - {_form(metric, {}) for metric in copied.metrics}):
        refusal = _log(target, metrics[form], runs, copied.id)
        if refusal:
            report.tell(where, f"metric {form[0]}", refusal)
    for key, value in original.params.items():
        if copied.params.get(key) != value:
            report.tell(where, f"parameter {key}", "it is another one there")
    report.compared("logged models", 1, 1)
    if not is_ready and original.status != _PENDING and not problems:
        route = f"{API}/logged-models/{copied.id}"
        target.send("PATCH", route, {"model_id": copied.id, "status": original.status})


def _log(target: Client, metric: Metric, runs: Mapping[str, Record], model_id: str) -> TrackingError | None:
    run = runs.get(metric["run_id"])
    if run is None or run.deleted:
        return None
    payload = {**metric, "model_id": model_id, "run_id": run.run.id}
    body = {"run_id": run.run.id, "metrics": [payload]}
    return refused(target, partial(target.send, "POST", f"{API}/runs/log-batch", body))


def _form(metric: Metric, runs: Mapping[str, Record]) -> tuple[str, str, int, int, str, str]:
    run = runs.get(metric["run_id"])
    run_id = run.run.id if run else metric["run_id"]
    dataset = metric.get("dataset_name", "")
    return (metric["key"], str(float(metric["value"])), int(metric.get("step", 0)),
            int(metric["timestamp"]), run_id, dataset)  # fmt: skip
