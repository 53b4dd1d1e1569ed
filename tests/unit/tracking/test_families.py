import json

import pytest
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server
from trainer.tracking.search import Query
from trainer.tracking.search.families import Family, search_families

from unit.helpers import HttpServer, Reply
from unit.runs.helpers import API
from unit.tracking.histories import START_MS, has, run, searches

Tree = dict[str, "Tree"]


@pytest.fixture
def client(http_server: HttpServer) -> Client:
    return Client(Server(http_server.uri))


def child(run_id: str, parent: str, at: int, **figures: float) -> dict[str, object]:
    return run(run_id, run_id, start=START_MS + at, tags={"mlflow.parentRunId": parent}, metrics=figures)


def alone(run_id: str, at: int, **figures: float) -> dict[str, object]:
    return run(run_id, run_id, start=START_MS + at, metrics=figures)


def tree(families: list[Family]) -> Tree:
    return {family.entry.run.name: tree(list(family.children)) for family in families}


def knows(server: HttpServer, *runs: dict[str, object]) -> None:
    """These are what is asked for by id, one after the other."""
    server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": item})) for item in runs]


def test_children_stand_below_their_parents_as_they_began(client: Client, http_server: HttpServer) -> None:
    listed = [alone("new", 9), child("t1", "sweep", 4), child("s", "t0", 3), child("t0", "sweep", 2),
              alone("sweep", 1)]  # fmt: skip
    has(http_server, listed)
    assert tree(search_families(client, Query())) == {"new": {}, "sweep": {"t0": {"s": {}}, "t1": {}}}


def test_the_limit_counts_parents_and_reads_on_behind_children(
    client: Client, http_server: HttpServer
) -> None:
    pages = [
        [alone("new", 9), child("t1", "sweep", 4)],
        [child("t0", "sweep", 3), alone("sweep", 2)],
        [alone("older", 1)],
    ]
    has(http_server, *pages)
    assert tree(search_families(client, Query(limit=2))) == {"new": {}, "sweep": {"t0": {}, "t1": {}}}
    assert [asked.get("page_token") for asked in searches(http_server)] == [None, "t1"]


def test_children_of_what_is_further_down_are_not_listed(client: Client, http_server: HttpServer) -> None:
    has(http_server, [child("t0", "sweep", 9), alone("new", 5), alone("sweep", 1)])
    knows(http_server, alone("sweep", 1))
    assert tree(search_families(client, Query(limit=1))) == {"new": {}}


@pytest.mark.parametrize("parent", ["deleted", "gone", "another project's", "itself"])
def test_a_run_whose_parent_is_not_to_be_listed_stands_for_itself(
    client: Client, http_server: HttpServer, parent: str
) -> None:
    has(http_server, [child("t0", "t0" if parent == "itself" else "sweep", 9)], e7="demo", e8="other")
    sweep = run("sweep", "sweep", experiment="8")
    if parent == "deleted":
        sweep = run("sweep", "sweep")
        info = sweep["info"]
        assert isinstance(info, dict)
        info["lifecycle_stage"] = "deleted"
    knows(http_server, sweep)
    if parent == "gone":
        missing = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"})
        http_server.replies[f"{API}/runs/get"] = [Reply(404, missing)]
    query = Query(project="demo") if parent == "another project's" else Query()
    assert tree(search_families(client, query)) == {"t0": {}}


def test_sorted_by_a_metric_the_children_of_what_is_listed_are_all_asked_for(
    client: Client, http_server: HttpServer
) -> None:
    best, low = child("t1", "sweep", 3, acc=0.9), child("t0", "sweep", 2, acc=0.1)
    has(http_server, [alone("sweep", 1, acc=0.9), best, alone("new", 5, acc=0.5), low])
    http_server.replies[f"{API}/runs/search"].append(Reply(body=json.dumps({"runs": [best, low]})))
    found = search_families(client, Query(sort="-acc", limit=1))
    assert tree(found) == {"sweep": {"t1": {}, "t0": {}}}
    assert searches(http_server)[-1]["filter"] == "tags.`mlflow.parentRunId` LIKE '%'"
