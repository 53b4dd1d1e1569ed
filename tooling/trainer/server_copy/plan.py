"""What is to be copied, found out before anything is."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer.counted import counted
from trainer.errors import DiskFull, InvalidInput, TrackingError
from trainer.projects.parameters import nearest
from trainer.server_copy import logged, reading, registry
from trainer.server_copy.logged import LoggedModel
from trainer.server_copy.reading import Experiment, Record
from trainer.server_copy.registry import Model
from trainer.server_copy.report import Bar
from trainer.tracking import run_tags, server_version
from trainer.tracking.artifacts import listing as artifact_listing
from trainer.tracking.artifacts.listing import Artifact
from trainer.tracking.client import Client
from trainer.tracking.failures import Unreachable
from trainer.tracking.server_version import TooOld

_SPARE = 64 << 20


@dataclass(frozen=True)
class PlannedRun:
    """A run that is copied, and its artifacts."""

    record: Record
    files: tuple[Artifact, ...]
    unlisted: str = ""
    """Why its artifacts could not be listed."""


@dataclass(frozen=True)
class PlannedExperiment:
    """An experiment that is copied, and what of it."""

    experiment: Experiment
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Plan:
    """What is copied from a server to another one."""

    origin: Client
    target: Client
    experiments: tuple[PlannedExperiment, ...]
    models: tuple[Model, ...]
    copies: dict[str, Record] = field(repr=False)
    """What the other server has already, by the ids of the originals."""
    logged: tuple[LoggedModel, ...] = ()
    logged_copies: dict[str, LoggedModel] = field(default_factory=dict, repr=False)
    remarks: tuple[str, ...] = ()
    """What is not copied at all."""

    @property
    def runs(self) -> list[PlannedRun]:
        """Of all experiments."""
        return [run for planned in self.experiments for run in planned.runs]

    @property
    def largest(self) -> int:
        """The bytes of the largest artifact."""
        return max((file.size or 0 for run in self.runs for file in run.files), default=0)


def make(origin: Client, target: Client, names: Sequence[str], bar: Bar, *, deleted: bool = False) -> Plan:
    """Look at both servers.

    Without `names`, all experiments. Raises `InvalidInput` and `TrackingError`.
    """
    _check_ends(origin, target)
    experiments = reading.experiments(origin)
    existing = {experiment.name: experiment for experiment in reading.experiments(target)}
    chosen = [experiment for experiment in experiments if deleted or not experiment.deleted]
    for name in names:
        if name not in {experiment.name for experiment in chosen}:
            raise InvalidInput(
                f"{origin.server.uri} has no experiment {name}.",
                nearest(name, sorted(experiment.name for experiment in chosen), "Its experiments are"),
            )
    chosen = [experiment for experiment in chosen if not names or experiment.name in names]
    for experiment in chosen:
        if experiment.name in existing and existing[experiment.name].deleted and not experiment.deleted:
            target.find_experiment(experiment.name)  # says how to restore it
    records = list(reading.runs(origin, [experiment.id for experiment in chosen]))
    records = [experiment for experiment in records if deleted or not experiment.deleted]
    copies = _copies(target, [experiment.id for experiment in existing.values()])
    _check_strangers(origin, target, records)
    own = _own(target, records, copies)
    records = [experiment for experiment in records if experiment.run.id not in own]
    runs: dict[str, list[PlannedRun]] = {}
    for number, record in enumerate(records):
        bar("Reading runs", number, len(records))
        runs.setdefault(record.run.experiment_id, []).append(_original(origin, record))
    ids = {record.run.id for record in records}
    models = _models(origin, own, ids if names else None)
    remarks = (
        [f"{counted(len(own), 'run')} left out: copies of runs that {target.server.uri} has."] if own else []
    )
    planned = tuple(
        PlannedExperiment(experiment, tuple(runs.get(experiment.id, []))) for experiment in chosen
    )
    plan = Plan(origin, target, planned, tuple(models), copies, remarks=tuple(remarks))
    found_logged = tuple(
        experiment
        for experiment in _logged(origin, chosen)
        if not experiment.run_id or experiment.run_id in ids
    )
    if not found_logged:
        return plan
    if not logged.are_known(target):
        models_said = counted(len(found_logged), "logged model")
        remark = f"{models_said} cannot be copied: {target.server.uri} has none, which came with MLflow 3.0."
        return replace(plan, remarks=(*remarks, remark))
    there_logged = _logged(target, existing.values())
    copied = {
        origin_of(experiment.tags): experiment
        for experiment in there_logged
        if run_tags.COPIED_FROM in experiment.tags
    }
    return replace(plan, logged=found_logged, logged_copies=copied)


def check_room(plan: Plan, folder: Path) -> None:
    """Raise `DiskFull` where the largest artifact has no room on its way."""
    free_bytes = shutil.disk_usage(folder).free
    if plan.largest + _SPARE > free_bytes:
        raise DiskFull(
            f"The largest artifact has {plan.largest / 1e9:.3g} GB; "
            f"{free_bytes / 1e9:.3g} GB are free at {folder}.",
            "Make room there: each artifact is on this disk on its way.",
        )


def origin_of(tags: Mapping[str, str]) -> str:
    """The id of what it is a copy of."""
    return tags[run_tags.COPIED_FROM].rpartition("/")[2]


def _logged(client: Client, experiments: Iterable[Experiment]) -> list[LoggedModel]:
    ids = [experiment.id for experiment in experiments]
    return list(logged.of(client, ids)) if logged.are_known(client) else []


def _check_ends(origin: Client, target: Client) -> None:
    if origin.server.uri == target.server.uri:
        raise InvalidInput(
            f"FROM and TO are both {origin.server.uri}.",
            "Specify two servers: trainer server copy-runs FROM TO",
        )
    query = {"max_results": "1"}
    for name, client in (("FROM", origin), ("TO", target)):
        try:
            answer = client.send("GET", f"{reading.API}/experiments/search", query=query, ok=(404,))
        except Unreachable as error:
            raise Unreachable(error.message, f"Start it, or correct {name}.") from None
        if answer.status_code == 404:
            raise TrackingError(
                f"{client.server.uri} is no server of MLflow 1.30 or newer.",
                "Check the address. An older server is upgraded first, and its database (mlflow db upgrade).",
            )
        reading.said(client, "GET", "experiments/search", query=query)
    try:
        server_version.check(target.server, target.version())
    except TooOld as error:
        hint = "Upgrade it and its database (mlflow db upgrade), or name another server as TO."
        raise TooOld(error.message, hint) from None


def _check_strangers(origin: Client, target: Client, records: list[Record]) -> None:
    """A run has its id on one server alone, unless both have the same database, or copies of one."""
    if not records:
        return
    answer = target.send("GET", f"{reading.API}/runs/get", query={"run_id": records[0].run.id}, ok=(400, 404))
    if answer.ok:
        raise InvalidInput(
            f"{target.server.uri} has the runs of {origin.server.uri} themselves: it is the same server, "
            "or has its database.",
            "Specify two servers: trainer server copy-runs FROM TO",
        )


def _copies(target: Client, experiment_ids: list[str]) -> dict[str, Record]:
    runs = reading.runs(target, experiment_ids, f"tags.`{run_tags.COPIED_FROM}` LIKE '%/%'")
    copies: dict[str, Record] = {}
    for record in sorted(runs, key=lambda one: one.deleted):
        copies.setdefault(origin_of(record.run.tags), record)
    return copies


def _own(target: Client, records: list[Record], copies: Mapping[str, Record]) -> set[str]:
    """Of the runs, the ids of those that were copied from the server that is copied to."""
    names_found = set()
    for record in records:
        if run_tags.COPIED_FROM in record.run.tags and record.run.id not in copies:
            query = {"run_id": origin_of(record.run.tags)}
            if target.send("GET", f"{reading.API}/runs/get", query=query, ok=(400, 404)).ok:
                names_found.add(record.run.id)
    return names_found


def _models(origin: Client, own: set[str], ids: set[str] | None) -> list[Model]:
    """Without the versions of `own` runs; where there are `ids`, models that have a version of those runs."""
    models = []
    for model in registry.of(origin):
        versions = tuple(version for version in model.versions if version.run_id not in own)
        is_left_out = bool(model.versions) and not versions
        if not is_left_out and (ids is None or any(version.run_id in ids for version in versions)):
            models.append(replace(model, versions=versions))
    return models


def _original(origin: Client, record: Record) -> PlannedRun:
    try:
        listed = tuple(
            artifact for artifact in artifact_listing.of_run(origin, record.run) if artifact.size is not None
        )
    except TrackingError as error:
        return PlannedRun(record, (), error.message)
    return PlannedRun(record, listed)
