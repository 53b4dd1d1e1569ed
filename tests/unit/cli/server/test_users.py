"""`trainer server users grant` and `revoke`: who may add runs to whose experiment."""

import json
from collections.abc import Callable

import pytest
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, Result, put

Trainer = Callable[..., Result]
EXPERIMENT = "/api/2.0/mlflow/experiments/get-by-name"
PERMISSIONS = "/api/3.0/mlflow/users/permissions"


@pytest.fixture(autouse=True)
def server(workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> HttpServer:
    """The team's server, which the workspace reports to as ada."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "canary-7f3a")
    put(workspace.root / "trainer.yaml", f"tracking_uri: {http_server.uri}\n")
    found = {"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}}
    http_server.replies[EXPERIMENT] = [Reply(body=json.dumps(found))]
    return http_server


@pytest.mark.parametrize(
    ("change", "permission", "said"),
    [("grant", {"permission": "EDIT"}, "bob may add runs to digits.\n"),
     ("revoke", {}, "bob may only read digits.\n")],
)  # fmt: skip
def test_the_owner_lets_another_account_add_runs(
    trainer: Trainer, server: HttpServer, change: str, permission: dict[str, str], said: str
) -> None:
    server.replies[f"{PERMISSIONS}/{change}"] = [Reply(body="{}")]
    done = trainer("server", "users", change, "bob", "digits")
    assert (done.code, done.out, done.err) == (0, "", said)
    [sent] = [request for request in server.asked if request.path == f"{PERMISSIONS}/{change}"]
    assert json.loads(sent.body) == {
        **permission, "username": "bob", "resource_type": "experiment", "resource_id": "7"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("replies", "code", "message"),
    [
        ({EXPERIMENT: Reply(404)}, 2, "There is no experiment digits on {uri}."),
        (
            {f"{PERMISSIONS}/grant": Reply(404, '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "x"}')},
            2,
            "There is no account bob.",
        ),
        ({f"{PERMISSIONS}/grant": Reply(403, "Permission denied")}, 85, "ada does not own the experiment."),
    ],
)
def test_what_cannot_be_granted(
    trainer: Trainer, server: HttpServer, replies: dict[str, Reply], code: int, message: str
) -> None:
    for path, reply in replies.items():
        server.replies[path] = [reply]
    done = trainer("server", "users", "grant", "bob", "digits")
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 2)
    assert done.err.startswith(f"Error: {message.format(uri=server.uri)}\n")
