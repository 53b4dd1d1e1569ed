import json
import math

import pytest
from trainer.errors import InvalidInput
from trainer.tracking import search
from trainer.tracking.artifacts import listing as artifact_listing
from trainer.tracking.artifacts.listing import Artifact
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server
from trainer.tracking.search import NoSuchProject, Point, Query

from unit.helpers import HttpServer, Reply, fails
from unit.runs.helpers import API
from unit.tracking.histories import START_MS, has, run, searches

BULK = f"{API}/metrics/get-history-bulk-interval"


@pytest.fixture
def client(http_server: HttpServer) -> Client:
    return Client(Server(http_server.uri))


def names(client: Client, query: Query) -> list[str]:
    return [entry.run.name for entry in search.search(client, query)]


def test_all_pages_are_read_and_the_newest_run_comes_first(client: Client, http_server: HttpServer) -> None:
    pages = [
        [run(f"{page}{n}", f"r{page}{n}", start=START_MS + 2 * page + n) for n in (0, 1)] for page in (2, 1)
    ]
    has(http_server, *pages)
    assert names(client, Query()) == ["r21", "r20", "r11", "r10"]
    first, second = searches(http_server)
    assert first["order_by"] == ["attributes.start_time DESC"]
    assert "page_token" not in first
    assert second["page_token"] == "t1"


def test_a_limit_stops_before_the_second_page(client: Client, http_server: HttpServer) -> None:
    has(http_server, [run("a", "a"), run("b", "b")], [run("c", "c")])
    assert len(names(client, Query(limit=2))) == 2
    assert [asked["max_results"] for asked in searches(http_server)] == [2]


def test_the_server_sorts_by_a_metric_and_what_has_none_comes_last(
    client: Client, http_server: HttpServer
) -> None:
    listed = [
        run("a", "nan", metrics={"acc": "NaN"}),
        run("b", "none"),
        run("c", "low", metrics={"acc": 0.1}),
        run("d", "high", metrics={"acc": 0.9}),
    ]
    has(http_server, listed)
    assert names(client, Query(sort="-acc")) == ["high", "low", "nan", "none"]
    assert names(client, Query(sort="acc")) == ["low", "high", "nan", "none"]
    assert [asked["order_by"] for asked in searches(http_server)] == [
        ["metrics.`acc` DESC", "attributes.start_time DESC"],
        ["metrics.`acc` ASC", "attributes.start_time DESC"],
    ]


def test_to_sort_by_duration_every_run_is_read(client: Client, http_server: HttpServer) -> None:
    has(http_server, [run("a", "long", took=9000)], [run("b", "short", took=10), run("c", "live", took=None)])
    assert names(client, Query(sort="duration", limit=1)) == ["live"]
    has(http_server, [run("a", "long", took=9000)], [run("b", "short", took=10)])
    assert names(client, Query(sort="-duration", limit=1)) == ["long"]


def test_a_project_is_its_experiment_and_its_runs_elsewhere(client: Client, http_server: HttpServer) -> None:
    source = {"mlflow.source.type": "PROJECT", "mlflow.source.name": "train_code/demo"}
    has(http_server, [run("a", "here", tags=source)], e7="demo", e8="try")
    http_server.replies[f"{API}/runs/search"] = [
        Reply(body=json.dumps({"runs": [run("a", "here")]})),
        Reply(body=json.dumps({"runs": [run("b", "there", experiment="8", tags=source)]})),
    ]
    runs = search.search(client, Query(project="demo", condition="params.x = '1'"))
    assert [(entry.run.name, entry.project, entry.experiment) for entry in runs] == [
        ("here", "demo", "demo"),
        ("there", "demo", "try"),
    ]
    own, others = searches(http_server)
    assert (own["experiment_ids"], own["filter"]) == (["7"], "params.x = '1'")
    assert others["experiment_ids"] == ["8"]
    assert str(others["filter"]).endswith("LIKE '%/demo' AND params.x = '1'")


def test_an_unknown_project_and_an_unknown_metric_suggest_a_near_one(
    client: Client, http_server: HttpServer
) -> None:
    has(http_server, [])
    with fails(NoSuchProject, f"{http_server.uri} has no run of a project dmo.", "Did you mean demo?"):
        search.search(client, Query(project="dmo"))
    has(http_server, [run("a", "a", metrics={"accuracy": 1.0})])
    with fails(InvalidInput, "No run has a metric acuracy.", "Did you mean accuracy?"):
        search.search(client, Query(sort="acuracy"))


def test_what_the_server_refuses_is_reported_in_its_own_words(
    client: Client, http_server: HttpServer
) -> None:
    has(http_server, [])
    payload = {
        "error_code": "INVALID_PARAMETER_VALUE",
        "message": "Invalid clause(s)\n in filter string: '='",
    }
    http_server.replies[f"{API}/runs/search"] = [Reply(400, json.dumps(payload))]
    with fails(
        InvalidInput, "The tracking server rejects the query: Invalid clause(s) in filter string: '='"
    ):
        search.search(client, Query(condition="="))


def test_the_best_run_is_a_finished_one_with_a_number(client: Client, http_server: HttpServer) -> None:
    has(http_server, [run("a", "a", metrics={"acc": 0.9})])
    assert search.best(client, "acc").id == "a"
    assert search.best(client, "acc", lowest=True).id == "a"
    highest, lowest = searches(http_server)
    assert highest["filter"] == lowest["filter"] == "attributes.status = 'FINISHED'"
    assert [str(highest["order_by"])[:20], str(lowest["order_by"])[:19]] == [
        "['metrics.`acc` DESC",
        "['metrics.`acc` ASC",
    ]
    has(http_server, [run("a", "a", metrics={"acc": "NaN"})])
    with fails(InvalidInput, "No finished run has a metric acc."):
        search.best(client, "acc")
    has(http_server, [run("a", "a")])
    with fails(InvalidInput, "No finished run has a metric duration."):
        search.best(client, "duration")


def test_what_registered_models_keep_is_no_run_of_a_project(client: Client, http_server: HttpServer) -> None:
    has(http_server, [run("a", "a", metrics={"acc": 0.9})])
    tags = [{"key": "trainer.registered_model", "value": "skin"}]
    experiments = [
        {"experiment_id": "7", "name": "demo", "tags": [{"key": "mlflow.note.content", "value": "a"}]},
        {"experiment_id": "8", "name": "skin (model)", "tags": tags},
    ]
    body = json.dumps({"experiments": experiments})
    http_server.replies[f"{API}/experiments/search"] = [Reply(body=body)]
    search.search(client, Query())
    search.best(client, "acc")
    search.search(client, Query(evaluations=True))
    search.search(client, Query(project="skin (model)"))
    assert search.evaluations(client, Query(condition="params.x = '1'")) == 1
    asked = [request["experiment_ids"] for request in searches(http_server)]
    assert asked == [["7"], ["7"], ["7", "8"], ["8"], ["7"], ["8"]]
    assert searches(http_server)[-1]["filter"] == "params.x = '1'"


def test_curves_are_in_the_order_of_steps_whatever_the_server_can_do(
    client: Client, http_server: HttpServer
) -> None:
    points = [
        {"run_id": "a", "step": 2, "value": "NaN", "timestamp": 2},
        {"run_id": "b", "step": 1, "value": 7.0, "timestamp": 1},
        {"run_id": "a", "value": 0.5, "timestamp": 1},
    ]
    http_server.replies[BULK] = [Reply(body=json.dumps({"metrics": points}))]
    result = search.curves(client, ["a", "b", "c"], "loss")
    assert result["a"][0] == Point(0, 0.5)
    assert math.isnan(result["a"][1].value)
    assert (result["b"], result["c"]) == ((Point(1, 7.0),), ())
    http_server.replies[BULK] = [Reply(404, "not found")]
    many = [{"step": step, "value": step, "timestamp": 1} for step in range(999)]
    http_server.replies[f"{API}/metrics/get-history"] = [Reply(body=json.dumps({"metrics": many}))]
    curve = search.curves(client, ["a"], "loss")["a"]
    assert len(curve) <= search.POINTS + 1
    assert (curve[0].step, curve[-1].step) == (0, 998)


def test_artifacts_are_a_tree_read_page_by_page(client: Client, http_server: HttpServer) -> None:
    hen = Run("a", "1", "hen", "FINISHED", "mlflow-artifacts:/1/a/artifacts")
    folder = {"path": "model", "is_dir": True}
    log = {"path": "train.log", "is_dir": False, "file_size": 12}
    inside = {"path": "model/MLmodel", "is_dir": False, "file_size": 3}
    http_server.replies[f"{API}/artifacts/list"] = [
        Reply(body=json.dumps({"files": [folder], "next_page_token": "more"})),
        Reply(body=json.dumps({"files": [inside]})),
        Reply(body=json.dumps({"files": [log]})),
    ]
    assert list(artifact_listing.of_run(client, hen)) == [
        Artifact("model", None),
        Artifact("model/MLmodel", 3),
        Artifact("train.log", 12),
    ]
    assert "page_token=more" in http_server.asked[-1].path
