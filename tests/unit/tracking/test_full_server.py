"""A tracking server whose disk is full is told so in one line, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trainer.errors import TrackingError
from trainer.tracking import delivery
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server
from trainer.workspace.run_folder import RunFolder
from trainkit.spool.responses import API

from unit.helpers import HttpServer, Reply, fails

ID = "0" * 32
FULL = json.dumps({
    "error_code": "TEMPORARILY_UNAVAILABLE",
    "message": "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO tags …]",
})  # fmt: skip


def test_a_command_says_so(http_server: HttpServer) -> None:
    http_server.replies["*"] = [Reply(500, FULL)]
    with fails(
        TrackingError,
        f"The disk of the tracking server {http_server.uri} is full.",
        "Make space where its database and artifacts are; `trainer server status` says where that is.",
    ):
        Client(Server(http_server.uri)).version()


@pytest.mark.parametrize("code", ["TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR"])
def test_what_a_run_left_waits_until_there_is_space(
    http_server: HttpServer, tmp_path: Path, code: str
) -> None:
    folder = tmp_path / "runs" / ID
    run = Run(ID, "1", "x", "RUNNING", f"mlflow-artifacts:/1/{ID}/artifacts")
    book = delivery.SpoolWriter(RunFolder(folder))
    book.begin(run, "e", {}, {})
    book.set_tags(ID, {"shape": "round"})
    full = Reply(500, FULL.replace("TEMPORARILY_UNAVAILABLE", code))
    http_server.replies = {"*": [Reply()], f"{API}/runs/log-batch": [full]}
    with pytest.raises(delivery.DeliveryPending) as told:
        delivery.deliver(Client(Server(http_server.uri)), RunFolder(folder))
    assert told.value.message == (
        "Of this run, 1 other record are on this disk alone: the server's disk is full."
    )
    http_server.replies = {"*": [Reply()]}
    delivery.deliver(Client(Server(http_server.uri)), RunFolder(folder))
    assert not delivery.pending(RunFolder(folder))
    assert not delivery.pending(RunFolder(folder)).refused
