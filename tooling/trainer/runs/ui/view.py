"""The view of an experiment's runs in the MLflow UI: a saved view, as its "Views" menu makes them.

The UI keeps columns and charts in the browser. A saved view is a tag of the experiment with the same as JSON;
it is in the menu of everybody, and opens with an address that has its key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict, cast

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.tracking import metrics, names, search
from trainer.tracking.client import Client, Run
from trainer.tracking.connection import API
from trainer.tracking.search import Point

NAME = "Scores and parameters"
_TRAINING = "?workflowType=machine_learning"
_KEY = "trainer"
_TAG = f"mlflow.sharedViewState.{_KEY}"
_SCORES, _PARAMETERS = 3, 8  # columns
_WIDEST = 150  # pixels of a column
_LONGEST = 5000  # characters of an experiment's tag, that all versions take


class _Tag(TypedDict):
    key: str
    value: str


class _Experiment(TypedDict, total=False):
    tags: list[_Tag]


def address(experiment_id: str) -> str:
    """Of the experiment's runs in the view, within the UI."""
    return f"#/experiments/{experiment_id}/runs{_TRAINING}&viewStateShareKey={_KEY}"


def update(
    client: Client, runs: Sequence[Run], primary: str | None, curves: Mapping[str, Sequence[Point]]
) -> str | None:
    """Make the view, or bring it up to date; `runs` are the experiment's newest, `curves` those of scores.

    A view that somebody saved in the UI is left as it is. Returns its address, None where there is no view.
    """
    experiment_id = runs[0].experiment_id
    state = json.dumps(_state(runs, primary, curves), separators=(",", ":"))
    existing = _existing(client, experiment_id)
    if existing is not None and (existing.get("state") == state or _is_edited(existing)):
        return address(experiment_id)
    now = int(time.time() * 1000)
    value = json.dumps({"name": NAME, "createdAt": now, "updatedAt": now, "state": state})
    if len(value) > _LONGEST:
        return address(experiment_id) if existing is not None else None
    body = {"experiment_id": experiment_id, "key": _TAG, "value": value}
    client.send("POST", f"{API}/experiments/set-experiment-tag", body)
    return address(experiment_id)


def table(client: Client, experiment: str) -> str:
    """The address of the runs of the experiment of that name, in the view if there is one already.

    Raises `InvalidInput` where there is no such experiment.
    """
    names.check_experiment(experiment)
    experiment_id = client.find_experiment(experiment)
    if experiment_id is None:
        raise InvalidInput(
            f"{client.server.uri} has no experiment {experiment}.",
            nearest(experiment, sorted(search.experiments(client).values()), "There are"),
        )
    if _existing(client, experiment_id) is None:
        return f"{client.server.uri}/#/experiments/{experiment_id}/runs{_TRAINING}"
    return f"{client.server.uri}/{address(experiment_id)}"


def _existing(client: Client, experiment_id: str) -> dict[str, object] | None:
    answer = client.send("GET", f"{API}/experiments/get", query={"experiment_id": experiment_id})
    experiment = cast(_Experiment, client.answer(answer, "experiment"))
    for tag in experiment.get("tags", []):
        if tag["key"] == _TAG:
            try:
                found = json.loads(tag["value"])
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
    return None


def _is_edited(existing: Mapping[str, object]) -> bool:
    """The UI writes another time where somebody saves the view."""
    return existing.get("createdAt") != existing.get("updatedAt")


def _state(
    runs: Sequence[Run], primary: str | None, curves: Mapping[str, Sequence[Point]]
) -> dict[str, object]:
    """In the words of the UI."""
    logged = {name for run in runs for name in run.metrics}
    scores = [name for name in metrics.shown(logged, primary) if name == primary or metrics.judges(name)]
    parameters = sorted({name for run in runs for name in run.parameters})
    varied = [name for name in parameters if len({run.parameters.get(name) for run in runs}) > 1]
    named = {f"metrics.`{name}`": name for name in scores[:_SCORES]}
    named |= {f"params.`{name}`": name for name in varied[:_PARAMETERS]}
    columns = list(named)
    section = {"uuid": "scores", "name": "Scores", "display": True, "isReordered": True, "deleted": False,
               "isGenerated": False}  # fmt: skip
    return {
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {column: min(_WIDEST, 24 + 8 * len(name)) for column, name in named.items()},
        "compareRunSections": [section],
        "compareRunCharts": _charts(logged, curves),
    }


def _charts(logged: Iterable[str], curves: Mapping[str, Sequence[Point]]) -> list[dict[str, object]]:
    """Curves with training and validation in one, then bars of what has a single value."""
    lines: dict[str, list[str]] = {}
    for name, points in curves.items():
        if len(points) > 1:
            lines.setdefault(metrics.measured_on(name)[0], []).append(name)
    for name in sorted(set(logged) - set(curves)):
        if name in lines:  # what a validation metric is called on the training data
            lines[name].append(name)
    charts: list[dict[str, object]] = [
        {"type": "LINE", "metricKey": names[0], "selectedMetricKeys": names} for names in lines.values()
    ]
    charts += [{"type": "BAR", "metricKey": name} for name, points in curves.items() if len(points) <= 1]
    return [
        {**chart, "uuid": f"score{number}", "metricSectionId": "scores", "runsCountToCompare": 10,
         "lineSmoothness": 0, "deleted": False, "isGenerated": True}
        for number, chart in enumerate(charts)
    ]  # fmt: skip
