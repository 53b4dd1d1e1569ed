"""The runs that a tracking server has: lists of them, the best of them, and their curves.

Runs below those that they are within: `families`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NotRequired, TypedDict, cast

from trainkit.spool.responses import Response, error_text

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.tracking import run_tags
from trainer.tracking.client import Client, Run, RunAnswer
from trainer.tracking.search.points import POINTS, Point, curves

__all__ = [
    "DURATION", "POINTS", "START", "Entry", "NoSuchProject", "Point", "Query", "best", "curves", "duration",
    "evaluations", "experiments", "figure_names", "in_order", "matching", "newest", "project", "search",
]  # fmt: skip

START, DURATION = "start", "duration"
_API = "/api/2.0/mlflow"
_PAGE = 1000
_LEAST_PAGE = 100  # where the runs to come may be children, of which there may be many
_LOOKED_AT = 100  # runs whose metrics are offered in place of an unknown one
_DELETED = {"run_view_type": "DELETED_ONLY"}
_FEW = 20
_NEWEST_FIRST = "attributes.start_time DESC"


class NoSuchProject(InvalidInput):
    """The server has neither a run of the project nor an experiment of that name."""


@dataclass(frozen=True)
class Query:
    """Which runs, in which order. Everything is optional."""

    project: str | None = None
    """A project's or an experiment's name."""
    condition: str = ""
    """In the language of MLflow's search."""
    sort: str = f"-{START}"
    """A metric, `start` or `duration`; a leading `-` means that the largest comes first."""
    limit: int | None = None
    deleted: bool = False
    """Whether it is the deleted runs that are asked for."""
    evaluations: bool = False
    """Whether those that keep the evaluations and aliases of registered models are wanted too."""
    beyond_children: bool = False
    """Whether the limit counts only runs that are within no other one; the others come in addition."""


@dataclass(frozen=True)
class Entry:
    """A run in a list."""

    run: Run
    project: str
    experiment: str


class _Tag(TypedDict):
    key: str
    value: str


class _Experiment(TypedDict):
    experiment_id: str
    name: str
    tags: NotRequired[list[_Tag]]


def figure_names(client: Client, project: str | None) -> tuple[list[str], list[str]]:
    """The metrics and the parameters that the newest runs have, for completion."""
    runs = [entry.run for entry in search(client, Query(project, limit=_LOOKED_AT))]
    metrics = {name for run in runs for name in run.metrics}
    return sorted(metrics), sorted({name for run in runs for name in run.parameters})


def search(client: Client, query: Query) -> list[Entry]:
    """The runs that are asked for. Only as much is read as the limit needs, except to sort by duration.

    Raises `NoSuchProject`; `InvalidInput` where the server refuses the condition or there is no such metric;
    `TrackingError`.
    """
    listed = _experiments(client)
    names = _names(listed)
    of_models = set() if query.evaluations else _of_models(listed)
    by = query.sort.removeprefix("-")
    entries = {
        run.id: Entry(run, project(run, names), names.get(run.experiment_id, ""))
        for ids, condition in _scopes(query, names, of_models)
        for run in _ordered(client, ids, condition, query)
    }
    if query.project and not entries and not query.condition and query.project not in names.values():
        raise NoSuchProject(
            f"{client.server.uri} has no run of a project {query.project}.",
            nearest(query.project, sorted(names.values()), "Its experiments are"),
        )
    is_metric = by not in (START, DURATION)
    if is_metric and entries and all(by not in entry.run.metrics for entry in entries.values()):
        newest = _pages(client, list(names), "", [_NEWEST_FIRST], _LOOKED_AT)
        metric_names = {name for run in newest for name in run.metrics if not name.startswith("system/")}
        raise InvalidInput(f"No run has a metric {by}.", nearest(by, sorted(metric_names), "There are"))
    return in_order(entries.values(), query.sort)[: None if query.beyond_children else query.limit]


def in_order(entries: Iterable[Entry], sort: str) -> list[Entry]:
    """The entries as `Query.sort` says; of equal ones the newest is first."""
    by, falls = sort.removeprefix("-"), sort.startswith("-")
    newest_first = sorted(entries, key=lambda entry: entry.run.started or 0, reverse=True)
    return sorted(newest_first, key=lambda entry: _rank(_figure(entry.run, by), falls=falls))


def evaluations(client: Client, query: Query) -> int:
    """How many runs the query leaves out because they keep evaluations or aliases of registered models."""
    ids = sorted(_of_models(_experiments(client)))
    return sum(1 for _ in _pages(client, ids, query.condition, [_NEWEST_FIRST], None, deleted=query.deleted))


def best(client: Client, metric: str, *, lowest: bool = False, within: str = "") -> Run:
    """The finished run with the highest (or the lowest) final value; `within` a run, if its id is given.

    Raises `InvalidInput` if none has one.
    """
    of_parent = f" AND tags.`{run_tags.PARENT_RUN}` = '{within}'" if within else ""
    query = Query(
        condition=f"attributes.status = 'FINISHED'{of_parent}",
        sort=metric if lowest else f"-{metric}",
        limit=1,
    )
    runs = [entry.run for entry in search(client, query)]
    if not runs or math.isnan(runs[0].metrics.get(metric, math.nan)):
        raise InvalidInput(f"No finished run has a metric {metric}.", "`trainer runs` lists the runs.")
    return runs[0]


def newest(client: Client, experiment_id: str, limit: int | None, condition: str = "") -> list[Run]:
    """The newest runs of an experiment that meet the condition, the last one first."""
    return list(_pages(client, [experiment_id], condition, [_NEWEST_FIRST], limit))


def matching(client: Client, *conditions: str, deleted: bool = False) -> list[Run]:
    """The runs, or deleted ones, of all experiments that meet one of the conditions; 20 at most for each."""
    ids = list(experiments(client))
    found = (_pages(client, ids, condition, [], _FEW, deleted=deleted) for condition in conditions)
    return list({run.id: run for runs in found for run in runs}.values())


def project(run: Run, experiment_names: Mapping[str, str]) -> str:
    """What the run is a run of: its project, or its experiment where no project made it."""
    source = run.tags.get(run_tags.SOURCE_NAME, "") if run.tags.get(run_tags.SOURCE_TYPE) == "PROJECT" else ""
    return source.rpartition("/")[2] or experiment_names.get(run.experiment_id, "")


def duration(run: Run, now: float) -> float | None:
    """Seconds from its start to its end, or until now."""
    if run.started is None:
        return None
    return (now if run.ended is None else run.ended) - run.started


def experiments(client: Client) -> dict[str, str]:
    """The names of the server's experiments by their ids."""
    return _names(_experiments(client))


def _names(listed: Sequence[_Experiment]) -> dict[str, str]:
    return {str(experiment["experiment_id"]): experiment.get("name", "") for experiment in listed}


def _of_models(listed: Sequence[_Experiment]) -> set[str]:
    """The ids of the experiments that registered models have of their own."""
    return {
        str(experiment["experiment_id"])
        for experiment in listed
        if any(tag["key"] == run_tags.REGISTERED_MODEL for tag in experiment.get("tags", []))
    }


def _experiments(client: Client) -> list[_Experiment]:
    listed: list[_Experiment] = []
    token = ""
    while True:
        query = {"max_results": str(_PAGE), **({"page_token": token} if token else {})}
        payload = client.send("GET", f"{_API}/experiments/search", query=query).json()
        listed += cast(list[_Experiment], payload.get("experiments", []))
        token = payload.get("next_page_token", "")
        if not token:
            return listed


def _scopes(
    query: Query, names: Mapping[str, str], left_out: Collection[str]
) -> Iterator[tuple[list[str], str]]:
    """Where to look, and with what condition: MLflow's search knows no OR."""
    if query.project is None:
        yield [experiment_id for experiment_id in names if experiment_id not in left_out], query.condition
        return
    own = [experiment_id for experiment_id, name in names.items() if name == query.project]
    if own:
        yield own, query.condition
    quoted = query.project.replace("'", "").replace("%", "")
    is_project = f"tags.`mlflow.source.type` = 'PROJECT' AND tags.`mlflow.source.name` LIKE '%/{quoted}'"
    other_ids = [experiment_id for experiment_id in names if experiment_id not in own]
    yield other_ids, " AND ".join(filter(None, (is_project, query.condition)))


def _ordered(client: Client, ids: list[str], condition: str, query: Query) -> Iterator[Run]:
    by, direction = query.sort.removeprefix("-"), "DESC" if query.sort.startswith("-") else "ASC"
    if by == DURATION:  # which the server cannot sort by
        return _pages(client, ids, condition, [_NEWEST_FIRST], None, deleted=query.deleted)
    column = "attributes.start_time" if by == START else f"metrics.`{by}`"
    order = [f"{column} {direction}"] + ([_NEWEST_FIRST] if by != START else [])
    if not query.beyond_children:
        return _pages(client, ids, condition, order, query.limit, deleted=query.deleted)
    page = max(query.limit or _PAGE, _LEAST_PAGE)
    return _until(query.limit, _pages(client, ids, condition, order, None, deleted=query.deleted, page=page))


def _until(limit: int | None, runs: Iterable[Run]) -> Iterator[Run]:
    """As many runs as have `limit` among them that are within no other one."""
    left = limit
    for run in runs:
        yield run
        if left is not None and run_tags.PARENT_RUN not in run.tags:
            left -= 1
            if not left:
                return


def _pages(
    client: Client,
    ids: list[str],
    condition: str,
    order: list[str],
    limit: int | None,
    *,
    deleted: bool = False,
    page: int = _PAGE,
) -> Iterator[Run]:
    def runs() -> Iterator[Run]:
        size = min(limit or page, _PAGE)
        body: dict[str, object] = {
            "experiment_ids": ids, "filter": condition, "order_by": order, "max_results": size,
            **(_DELETED if deleted else {}),
        }  # fmt: skip
        while True:
            answer = client.send("POST", f"{_API}/runs/search", body, ok=(400,))
            if answer.status_code == 400:
                raise InvalidInput(
                    f"The tracking server rejects the query: {error_text(Response(400, answer.text))}",
                    "--filter \"metrics.accuracy > 0.9 AND params.kind = 'tree'\"; as in MLflow's search.",
                )
            payload = answer.json()
            yield from map(client.read, cast(list[RunAnswer], payload.get("runs", [])))
            body["page_token"] = payload.get("next_page_token", "")
            if not body["page_token"]:
                return

    return islice(runs(), limit) if ids else iter(())


def _figure(run: Run, by: str) -> float | None:
    if by == START:
        return run.started
    return duration(run, run.started or 0) if by == DURATION else run.metrics.get(by)


def _rank(value: float | None, *, falls: bool) -> tuple[int, float]:
    """What has no value comes last in either direction, as on the server."""
    if value is None or math.isnan(value):
        return (2, 0.0) if value is None else (1, 0.0)
    return (0, -value if falls else value)
