"""What the MLflow UI shows when a run has ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trainer.errors import InvalidInput
from trainer.runs import ui
from trainer.runs.ui import description, view
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server

from unit.helpers import HttpServer, Reply
from unit.runs.helpers import API
from unit.runs.ui.test_description import planned
from unit.tracking.histories import run

ID = "3f2a1b9c77ab01d2"
NOTE = description.of(planned(rate="0.1"), {"rate": "0.1"}, ID)
METRICS = {"val_loss": 0.4, "loss": 0.3, "accuracy": 0.9, "seconds_fit": 7.0}
LOSSES = (0.9, 0.2, 0.4)


class Site:
    """A server with two runs of an experiment."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.client = Client(Server(server.uri))
        self.has(NOTE)
        server.replies[f"{API}/runs/log-batch"] = [Reply()]
        server.replies[f"{API}/experiments/set-experiment-tag"] = [Reply()]
        self.experiment()
        self.curves()

    def curves(self) -> None:
        points = [
            {"run_id": ID, "step": step, "value": value, "timestamp": step}
            for step, value in enumerate(LOSSES, 1)
        ]
        single = [{"run_id": ID, "step": 0, "value": 0.9, "timestamp": 0}]
        # In the order in which the scores are asked for: val_loss, accuracy, loss.
        self.server.replies[f"{API}/metrics/get-history-bulk-interval"] = [
            Reply(body=json.dumps({"metrics": found})) for found in (points, single, points)
        ]

    def has(self, note: str, **tags: str) -> None:
        said = {"mlflow.note.content": note, **tags}
        runs = [run(ID, "hen", metrics=METRICS, params={"rate": "0.1", "n": "1"}, tags=said),
                run("bb", "owl", metrics={"kappa": 1.0}, params={"rate": "0.2", "n": "1"})]  # fmt: skip
        self.server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": runs}))]

    def experiment(self, **tags: str) -> None:
        pairs = [{"key": f"mlflow.{key}", "value": value} for key, value in tags.items()]
        found = {"experiment": {"experiment_id": "7", "tags": pairs}}
        self.server.replies[f"{API}/experiments/get"] = [Reply(body=json.dumps(found))]

    def end(self) -> None:
        ui.ended(self.client, self.client.read(run(ID, "hen")))  # type: ignore[arg-type]

    def told(self, path: str) -> list[Any]:
        return [json.loads(asked.body) for asked in self.server.asked if asked.path == f"{API}/{path}"]

    def note(self) -> str:
        [body] = self.told("runs/log-batch")
        return str(body["tags"][0]["value"])

    def state(self) -> dict[str, Any]:
        [body] = self.told("experiments/set-experiment-tag")
        assert body["key"] == "mlflow.sharedViewState.trainer"
        saved: dict[str, Any] = json.loads(body["value"])
        assert saved["createdAt"] == saved["updatedAt"]
        return saved


@pytest.fixture
def site(http_server: HttpServer) -> Site:
    return Site(http_server)


def test_the_description_gets_the_scores_and_a_way_to_the_other_runs(site: Site) -> None:
    site.end()
    note = site.note()
    scores = "val_loss 0.4 (best 0.2 at step 2) · accuracy 0.9 · loss 0.3 (best 0.2 at step 2)"
    assert note.startswith(f"Scores: {scores}.\n\n```sh\ntrainer run demo -P rate=0.1\n```\n\n")
    assert "seconds_fit" not in note
    assert "`trainer reproduce 3f2a1b9c`" in note
    assert note.endswith(f"[All runs of the experiment]({view.address('7')})")


def test_scores_of_an_earlier_end_are_replaced_and_what_a_person_added_is_kept(site: Site) -> None:
    site.end()
    first = site.note()
    site.server.asked.clear()
    site.has(first.replace("[All", "More words.\n\n[All"), **{"trainer.primary_metric": "loss"})
    site.end()
    again = site.note()
    assert again.startswith("Scores: **loss** 0.3")
    assert [again.count(words) for words in ("Scores:", "trainer run demo", "More words.", "[All runs")] == [
        1
    ] * 4


def test_a_description_of_the_users_own_is_left(site: Site) -> None:
    site.has("My own words.")
    site.end()
    assert site.told("runs/log-batch") == []
    assert site.state()["name"] == "Scores and parameters"


def test_the_view_has_scores_and_the_parameters_that_differ(site: Site) -> None:
    site.end()
    state = json.loads(site.state()["state"])
    columns = [
        "metrics.`val_loss`",
        "metrics.`accuracy`",
        "metrics.`kappa`",
        "params.`rate`",
    ]
    assert (state["selectedColumns"], state["columnOrder"]) == (columns, columns)
    charts = [(chart["type"], chart.get("selectedMetricKeys")) for chart in state["compareRunCharts"]]
    assert charts == [("LINE", ["val_loss", "loss"]), ("BAR", None)]


def test_a_view_that_is_the_same_is_not_written_again(site: Site) -> None:
    site.end()
    site.experiment(**{"sharedViewState.trainer": json.dumps(site.state())})
    site.server.asked.clear()
    site.curves()
    site.end()
    assert site.told("experiments/set-experiment-tag") == []
    assert len(site.told("runs/log-batch")) == 1


def test_a_view_that_a_person_saved_is_left(site: Site) -> None:
    saved = json.dumps({"name": "Mine", "createdAt": 1, "updatedAt": 2, "state": "{}"})
    site.experiment(**{"sharedViewState.trainer": saved})
    site.end()
    assert site.told("experiments/set-experiment-tag") == []


@pytest.mark.parametrize("odd", [Reply(403), Reply(500), Reply(body="[]"), Reply(body='{"runs": [{}]}')])
@pytest.mark.parametrize("path", ["runs/search", "experiments/get", "experiments/set-experiment-tag"])
def test_a_server_that_does_not_take_it_is_no_failure(site: Site, path: str, odd: Reply) -> None:
    site.server.replies[f"{API}/{path}"] = [odd]
    site.end()


def test_a_run_without_scores_is_left_as_it_is(site: Site) -> None:
    runs = [run(ID, "hen", metrics={"seconds_fit": 1.0})]
    site.server.replies[f"{API}/runs/search"] = [Reply(body=json.dumps({"runs": runs}))]
    site.end()
    assert [asked.path for asked in site.server.asked] == [f"{API}/runs/search"]


def test_the_table_of_an_experiment_opens_in_the_view_once_there_is_one(site: Site) -> None:
    found = {"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}}
    site.server.replies[f"{API}/experiments/get-by-name"] = [Reply(body=json.dumps(found))]
    plain = f"{site.server.uri}/#/experiments/7/runs?workflowType=machine_learning"
    assert view.table(site.client, "demo") == plain
    site.end()
    site.experiment(**{"sharedViewState.trainer": json.dumps(site.state())})
    assert view.table(site.client, "demo") == f"{plain}&viewStateShareKey=trainer"


def test_an_experiment_that_is_not_there_is_named(site: Site) -> None:
    site.server.replies[f"{API}/experiments/get-by-name"] = [Reply(404)]
    listed = {"experiments": [{"experiment_id": "7", "name": "demo"}]}
    site.server.replies[f"{API}/experiments/search"] = [Reply(body=json.dumps(listed))]
    with pytest.raises(InvalidInput) as refused:
        view.table(site.client, "demmo")
    assert "demo" in refused.value.hint
    with pytest.raises(InvalidInput):
        view.table(site.client, "a\udcff")
