"""Everything of a plan, in an order in which whatever is interrupted can go on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

from trainer.server_copy import logged_copy, models, reading, run_copy
from trainer.server_copy.logged import LoggedModel
from trainer.server_copy.plan import Plan, PlannedExperiment
from trainer.server_copy.reading import API, Record
from trainer.server_copy.report import Bar, Report
from trainer.tracking import run_tags
from trainer.tracking.artifacts import roots as artifact_roots
from trainer.tracking.client import Client, RunAnswer


def copy(planned: Plan, folder: Path, bar: Bar) -> Report:
    """Copy what is missing, by way of the folder, and compare. Raises `TrackingError` if a server goes away.

    All runs are made before one is filled: the tags of one name others.
    """
    report = Report()
    target = planned.target
    experiments = {
        experiment.experiment.id: _experiment(planned, experiment, report)
        for experiment in planned.experiments
    }
    copies = dict(planned.copies)
    for number, original in enumerate(planned.runs):
        bar("Making runs", number, len(planned.runs))
        if original.record.run.id not in copies:
            call = partial(_make, planned, original.record, experiments, copies, report)
            report.attempt(target, run_copy.where(original.record), "the run", call)
    ids = {run_id: record.run.id for run_id, record in copies.items()}
    for number, model in enumerate(planned.logged):
        bar("Copying logged models", number, len(planned.logged))
        call = partial(_logged, planned, model, experiments, copies, ids, folder, report)
        report.attempt(target, f"logged model {model.name} ({model.id})", "the model", call)
    for number, original in enumerate(planned.runs):
        bar("Copying runs", number, len(planned.runs))
        copied = copies.get(original.record.run.id)
        if copied:
            call = partial(run_copy.complete, planned, original, copied, ids, folder, report)
            report.attempt(target, run_copy.where(original.record), "the run", call)
    report.there["runs"] = len(planned.runs)
    models.copy(planned, copies, ids, report, bar)
    for experiment in planned.experiments:
        if experiment.experiment.deleted:
            _delete(planned.target, experiment.experiment.name)
    return report


def _experiment(planned: Plan, planned_experiment: PlannedExperiment, report: Report) -> str:
    """The id of the experiment on the other server, made if it is not there."""
    target, name = planned.target, planned_experiment.experiment.name
    existing = _find(target, name)
    if existing and existing.deleted:
        return existing.id  # the last thing that is done to one: its runs are there
    if existing:
        experiment_id, tags = existing.id, existing.tags
        artifact_roots.find(target, name, has_trainkit=True)
    else:
        tags = {run_tags.COPIED_FROM: f"{planned.origin.server.uri}/{planned_experiment.experiment.id}"}
        experiment_id = artifact_roots.make(target, name, has_trainkit=True, tags=tags)
        report.made["experiments"] += 1
    for key, value in planned_experiment.experiment.tags.items():
        if key not in tags and key != run_tags.COPIED_FROM:
            call = partial(_tag, target, experiment_id, key, value)
            report.attempt(target, f"experiment {name}", f"tag {key}", call)
    report.compared("experiments", 1, 1)
    return experiment_id


def _make(
    planned: Plan, original: Record, experiments: Mapping[str, str], copies: dict[str, Record], report: Report
) -> None:
    body: dict[str, object] = {
        "experiment_id": experiments[original.run.experiment_id],
        "run_name": original.run.name or original.run.tags.get(run_tags.RUN_NAME, ""),
        "user_id": original.user,
        "start_time": original.started_ms,
        "tags": [{"key": run_tags.COPIED_FROM, "value": f"{planned.origin.server.uri}/{original.run.id}"}],
    }
    answer = reading.said(planned.target, "POST", "runs/create", body)
    copies[original.run.id] = reading.record_of(planned.target, cast(RunAnswer, answer["run"]))
    report.made["runs"] += 1


def _logged(
    planned: Plan, model: LoggedModel, experiments: Mapping[str, str], copies: Mapping[str, Record],
    ids: dict[str, str], folder: Path, report: Report,
) -> None:  # fmt: skip
    target = planned.target
    copied = planned.logged_copies.get(model.id)
    if copied is None:
        uri = planned.origin.server.uri
        copied = logged_copy.made(target, uri, model, experiments[model.experiment_id], ids)
        report.made["logged models"] += 1
    ids[model.id.removeprefix("m-")] = copied.id.removeprefix("m-")
    logged_copy.complete(planned.origin, model, target, copied, copies, folder, report)


def _tag(target: Client, experiment_id: str, key: str, value: str) -> None:
    body = {"experiment_id": experiment_id, "key": key, "value": value}
    target.send("POST", f"{API}/experiments/set-experiment-tag", body)


def _find(target: Client, name: str) -> reading.Experiment | None:
    return next((experiment for experiment in reading.experiments(target) if experiment.name == name), None)


def _delete(target: Client, name: str) -> None:
    existing = _find(target, name)
    if existing and not existing.deleted and run_tags.COPIED_FROM in existing.tags:
        target.send("POST", f"{API}/experiments/delete", {"experiment_id": existing.id})
