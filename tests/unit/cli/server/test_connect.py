"""`trainer server connect`: the server is checked before trainer.yaml and secrets.env are written."""

import io
import json
import sys
from base64 import b64encode
from collections.abc import Callable

import pytest
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace, find

from unit.helpers import HttpServer, Reply, Result, git, put

Trainer = Callable[..., Result]
PASSWORD = "canary-7f3a"


@pytest.fixture(autouse=True)
def site(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace in git."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    git(workspace.root, "init", "--quiet")
    put(workspace.root / ".gitignore", "secrets.env\n.trainer/\nmlruns/\n")
    put(workspace.root / "trainer.yaml", "# mine\n# tracking_uri:\nserver_port: 5000\n")
    return workspace


def lets_in(server: HttpServer) -> None:
    server.replies["/version"] = [Reply(body="3.4.0")]
    server.replies["*"] = [Reply(body=json.dumps({"experiments": []}))]


def test_a_server_without_accounts(trainer: Trainer, site: Workspace, http_server: HttpServer) -> None:
    lets_in(http_server)
    dry = trainer("server", "connect", http_server.uri, "--dry-run")
    assert dry.out == f"MLflow 3.4.0 at {http_server.uri} can be used. Nothing was written.\n"
    assert find().settings.tracking_uri is None
    done = trainer("server", "connect", f"{http_server.uri}/")
    assert done.code == 0, done.err
    assert done.out == f"Connected to MLflow 3.4.0 at {http_server.uri}.\nNext: trainer runs\n"
    assert (
        site.root / "trainer.yaml"
    ).read_text() == f"# mine\ntracking_uri: {http_server.uri}\nserver_port: 5000\n"
    assert not site.secrets_file.exists()
    assert trainer("server", "connect", http_server.uri).code == 0
    assert trainer("runs").out == "No runs.\n"
    told = json.loads(trainer("server", "status", "--json").out)
    assert told == {
        "status": "up", "form": "not of this workspace", "uri": http_server.uri, "MLflow": "3.4.0",
        "user": None,
    }  # fmt: skip
    http_server.replies["*"] = [Reply(401)]
    told = json.loads(trainer("server", "status", "--json").out)
    assert told["status"] == "up, but it refuses the account"


def test_an_account_is_checked_and_kept_apart(
    trainer: Trainer, site: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lets_in(http_server)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    done = trainer("server", "connect", http_server.uri, "--username", "ada", "--password-stdin")
    connected = f"Connected to MLflow 3.4.0 at {http_server.uri} as ada."
    assert done.out.splitlines()[0] == connected, done.err
    sent = {request.headers["Authorization"] for request in http_server.asked}
    assert sent == {f"Basic {b64encode(f'ada:{PASSWORD}'.encode()).decode()}"}
    assert secrets.load(site).values == {
        "MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": PASSWORD
    }  # fmt: skip
    assert PASSWORD not in (site.root / "trainer.yaml").read_text() + done.out + done.err


def test_nothing_is_written_where_the_server_does_not_let_us_in(
    trainer: Trainer, site: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.replies["*"] = [Reply(401)]
    before = (site.root / "trainer.yaml").read_text()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    denied = trainer("server", "connect", http_server.uri, "--username", "ada", "--password-stdin")
    assert (denied.code, denied.out, denied.err.count("\n")) == (85, "", 2)
    asked = trainer("server", "connect", http_server.uri)
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == (
        f"Error: {http_server.uri} wants an account, and there is no terminal to ask for it.\n"
        f"Hint:  trainer server connect {http_server.uri} --username NAME --password-stdin < FILE\n"
    )
    assert (site.root / "trainer.yaml").read_text() == before
    assert not site.secrets_file.exists()


def test_another_server_is_replaced_only_on_demand(
    trainer: Trainer, site: Workspace, http_server: HttpServer
) -> None:
    lets_in(http_server)
    put(site.root / "trainer.yaml", "tracking_uri: https://old.example.com\n")
    content = "API_KEY=mine\nMLFLOW_TRACKING_USERNAME=bob\nMLFLOW_TRACKING_PASSWORD=old-password\n"
    put(site.secrets_file, content).chmod(0o600)
    refused = trainer("server", "connect", http_server.uri)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "Error: Runs of this workspace report to https://old.example.com.\n"
        f"Hint:  To report to the other one from now on: trainer server connect {http_server.uri} --force\n"
    )
    done = trainer("server", "connect", http_server.uri, "--force")
    assert (done.code, done.err.splitlines()[0]) == (0, "Runs reported to https://old.example.com before.")
    assert find().settings.tracking_uri == http_server.uri
    assert secrets.load(site).values == {"API_KEY": "mine"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ftp://host"], 2, "The tracking URI ftp://host is not an http(s) address."),
        (["http://ada:canary-7f3a@127.0.0.1:1"], 2, "The address holds an account"),
        (["http://127.0.0.1:1"], 84, "The tracking server http://127.0.0.1:1"),
        (
            ["http://127.0.0.1:1", "--password-stdin"],
            2,
            "An account is a user name and a password, or a token.",
        ),
        (["http://127.0.0.1:1", "--token-stdin", "--username", "a"], 2, "An account is"),
    ],
)
def test_what_cannot_be_connected_to(
    trainer: Trainer, site: Workspace, arguments: list[str], code: int, message: str
) -> None:
    before = (site.root / "trainer.yaml").read_text()
    done = trainer("server", "connect", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 2), done.err
    assert done.err.startswith(f"Error: {message}")
    assert PASSWORD not in done.err
    assert (site.root / "trainer.yaml").read_text() == before
