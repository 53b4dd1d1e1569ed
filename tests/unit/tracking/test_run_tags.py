from __future__ import annotations

import json

import pytest
from trainer.tracking import run_tags
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server

from unit.helpers import HttpServer, Reply
from unit.tracking.histories import run

TAGS = {"trainer.memory": "8g", "trainer.end": "done", "mlflow.user": "me", "mine": "1"}
STORED = {"mlflow.trainer.memory": "8g", "trainer.end": "done", "mlflow.user": "me", "mine": "1"}


@pytest.mark.parametrize("on_server", [TAGS, STORED], ids=["of an earlier trainer", "out of sight"])
def test_a_tag_has_one_name_wherever_it_is_on_the_server(
    http_server: HttpServer, on_server: dict[str, str]
) -> None:
    http_server.replies["*"] = [Reply(body=json.dumps({"run": run("r1", "hen", tags=on_server)}))]
    client = Client(Server(http_server.uri))
    assert client.create_run("7", None, TAGS).tags == TAGS
    client.set_tags("r1", TAGS)
    client.remove_tags("r1", TAGS)
    create, tag, *untag = (json.loads(asked.body) for asked in http_server.asked)
    for body in (create, tag):
        assert {pair["key"]: pair["value"] for pair in body["tags"]} == STORED
    assert [body["key"] for body in untag] == list(STORED)


def test_no_name_of_another_is_changed() -> None:
    tags = {"mlflow.trainerless": "1", "mlflow.runName": "2", "trainer.dataset.memory": "3"}
    assert {pair["key"]: pair["value"] for pair in run_tags.pairs(tags)} == tags
    assert run_tags.read(run_tags.pairs(tags)) == tags
