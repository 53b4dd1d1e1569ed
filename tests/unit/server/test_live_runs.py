"""A server is not changed while runs report to it, and the hint leads on."""

import json
from collections.abc import Callable

from trainer.errors import InvalidInput
from trainer.server import live_runs
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Result, fails, put
from unit.runs.helpers import live, record


def test_a_run_of_another_server_keeps_nobody_from_stopping_this_one(
    workspace: Workspace, trainer: Callable[..., Result], http_server: HttpServer
) -> None:
    live(workspace, record(http_server))
    done = trainer("server", "down")
    assert (done.code, done.out) == (0, "It was not running.\n")


def test_who_stops_a_server_learns_which_run_reports_to_it_and_how_to_stop_that(
    workspace: Workspace, trainer: Callable[..., Result], http_server: HttpServer
) -> None:
    live(workspace, record(http_server, own_server=True))
    assert trainer("server", "down") == Result(
        2,
        "",
        "Error: 1 live run reports to this server: brave-hen.\n"
        "Hint:  Wait until it has ended (trainer ps), or: trainer stop 3f4c6bc0. To go on all the same, "
        "while what is logged waits on this disk: trainer server down --force\n",
    )
    assert "brave-hen" in trainer("ps").out
    assert trainer("server", "down", "--force").code == 0


def test_of_many_runs_some_are_named(workspace: Workspace, http_server: HttpServer) -> None:
    put(workspace.state / "server-container.json", json.dumps({"uri": http_server.uri}))
    for number in range(5):
        live(workspace, record(http_server, run_id=f"{number}" * 32, name=f"hen-{number}", started=number))
    with fails(
        InvalidInput,
        "5 live runs report to this server: hen-0, hen-1, hen-2 and 2 more.",
        "Wait until they have ended (trainer ps), or: trainer stop --all.",
    ):
        live_runs.refuse(workspace)
