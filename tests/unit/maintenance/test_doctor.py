import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from trainer import subprocesses
from trainer.runs.launch import prepare
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, HttpServer, Reply, Result, git, put

Trainer = Callable[..., Result]


@pytest.fixture(autouse=True)
def tracked(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> HttpServer:
    """A tracking server that answers, and no GPU."""
    http_server.replies |= {"/version": [Reply(body=version("mlflow"))], "*": [Reply()]}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", http_server.uri)
    capture = subprocesses.capture
    monkeypatch.setattr(
        subprocesses, "capture", lambda argv, *rest: None if argv[0] == "nvidia-smi" else capture(argv, *rest)
    )
    return http_server


def checks(trainer: Trainer) -> dict[str, dict[str, str | None]]:
    payload = json.loads(trainer("doctor", "--json").out)
    return {check["name"]: check for check in payload}


def test_without_an_engine_it_fails_and_says_how_to_mend_it(trainer: Trainer) -> None:
    done = trainer("doctor")
    assert done.code == 89
    lines = done.out.splitlines()
    assert lines[:2] == [
        f"✗ engine: No Docker engine answers at {DEAD_ENGINE}.",
        "    fix: Start it (Docker Desktop, or: sudo systemctl start docker)",
    ]
    error, hint = done.err.splitlines()
    assert error.startswith("Error: ")
    assert " checks failed: engine" in error
    assert hint == "Hint:  Apply the fix below each of them."


def test_as_json_each_check_has_the_same_keys(trainer: Trainer, http_server: HttpServer) -> None:
    done = trainer("doctor", "--json")
    payload = json.loads(done.out)
    assert done.code == 89
    assert {tuple(check) for check in payload} == {("name", "status", "found", "fix")}
    assert [check["name"] for check in payload] == [
        "engine",
        "buildx",
        "disk",
        "gpu",
        "git",
        "secrets",
        "image definitions",
        "tracking server",
        "MLflow versions",
    ]
    assert payload[0] == {
        "name": "engine",
        "status": "failure",
        "found": f"No Docker engine answers at {DEAD_ENGINE}.",
        "fix": "Start it (Docker Desktop, or: sudo systemctl start docker)",
    }
    assert payload[7]["found"] == f"MLflow {version('mlflow')} at {http_server.uri}"
    assert (payload[7]["status"], payload[7]["fix"]) == ("ok", None)
    assert all(check["fix"] for check in payload if check["status"] != "ok")


def test_a_server_that_cannot_store_artifacts(trainer: Trainer, http_server: HttpServer) -> None:
    api, stored = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts/0/trainer-check"
    experiment = {"experiment_id": "0", "artifact_location": "mlflow-artifacts:/0"}
    http_server.replies[f"{api}/experiments/search"] = [Reply(body=json.dumps({"experiments": [experiment]}))]
    http_server.replies[stored] = [Reply(500, "Internal Server Error")]
    check = checks(trainer)["artifacts"]
    assert check["status"] == "failure"
    assert check["found"] == (
        f"A file of a few bytes could not be stored. The tracking server {http_server.uri} answered 500: "
        "Internal Server Error"
    )
    assert str(check["fix"]).startswith("Let the server write where it keeps artifacts")
    http_server.asked.clear()
    http_server.replies[stored] = [Reply()]
    assert checks(trainer)["artifacts"]["status"] == "ok"
    assert [asked.method for asked in http_server.asked if asked.path == stored] == ["PUT", "DELETE"]


def test_a_tracking_server_that_refuses(trainer: Trainer, http_server: HttpServer) -> None:
    http_server.replies["/version"] = [Reply(401)]
    check = checks(trainer)["tracking server"]
    assert check["status"] == "failure"
    assert check["fix"] == f"Log in: trainer server connect {http_server.uri}"


def test_an_older_server_that_costs_nothing_is_reported(trainer: Trainer, http_server: HttpServer) -> None:
    http_server.replies["/version"] = [Reply(body="3.1.0")]
    check = checks(trainer)["MLflow versions"]
    assert (check["status"], check["fix"]) == ("ok", None)
    assert check["found"] == f"server 3.1.0, trainer {version('mlflow')}, image small 3.17.2"


def test_a_server_without_logged_models_is_a_warning_that_anybody_can_follow(
    trainer: Trainer, http_server: HttpServer
) -> None:
    http_server.replies["/version"] = [Reply(body="2.22.1")]
    check = checks(trainer)["MLflow versions"]
    assert check["status"] == "warning"
    assert "server 2.22.1, trainer" in str(check["found"])
    assert "no logged models, which came with MLflow 3.0" in str(check["found"])
    assert f"pip install mlflow=={version('mlflow')}" in str(check["fix"])


def test_a_server_that_is_too_old_is_a_failure(trainer: Trainer, http_server: HttpServer) -> None:
    http_server.replies["/version"] = [Reply(body="1.30.1")]
    check = checks(trainer)["tracking server"]
    assert check["status"] == "failure"
    uri = http_server.uri
    assert check["found"] == f"The tracking server {uri} needs MLflow 2.9 or newer; it is 1.30.1."


def test_an_image_has_the_mlflow_that_it_inherits(
    trainer: Trainer, workspace: Workspace, http_server: HttpServer
) -> None:
    http_server.replies["/version"] = [Reply(body="3.1.0")]
    put(workspace.images / "heir" / "image.yaml", "inherits: small\n")
    put(workspace.images / "heir" / "requirements.txt", "tabulate==0.10.0 --hash=sha256:00\n")
    found = checks(trainer)["MLflow versions"]["found"]
    assert found
    assert "image heir 3.17.2, image small 3.17.2" in found


def test_secrets_that_could_leak(trainer: Trainer, workspace: Workspace) -> None:
    assert checks(trainer)["secrets"]["found"] == "no secrets.env, and nothing that needs it"
    put(workspace.secrets_file, "API_KEY=canary-7f3a\n").chmod(0o600)
    assert checks(trainer)["secrets"]["found"] == "1 in secrets.env, readable by you alone and not in git"
    git(workspace.root, "init", "--quiet")
    check = checks(trainer)["secrets"]
    assert check["status"] == "failure"
    assert check["found"] == f"git would commit {workspace.secrets_file}: no .gitignore names it."


@pytest.mark.parametrize("damage", ["image.yaml", "requirements.txt"])
def test_a_broken_image_keeps_nothing_else_from_being_looked_at(
    trainer: Trainer, workspace: Workspace, damage: str
) -> None:
    path = workspace.images / "small" / damage
    path.unlink()
    if damage == "image.yaml":
        put(path, "a: b: c")
    done = trainer("doctor", "--json")
    assert done.code == 89
    assert {check["name"] for check in json.loads(done.out)} > {"engine", "tracking server"}


def test_a_full_disk_is_a_warning(
    trainer: Trainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9_000_000_000))
    check = checks(trainer)["disk"]
    assert (check["status"], check["found"]) == ("warning", f"9 GB free at {workspace.root}")


def test_no_gpu_is_no_failure(trainer: Trainer) -> None:
    assert checks(trainer)["gpu"]["status"] == "ok"


def test_a_server_that_cannot_be_started_is_one_finding_among_others(
    trainer: Trainer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(workspace.state / "server.lock")

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(prepare, "connect", denied)
    found = checks(trainer)["tracking server"]
    assert found["found"] == f"it cannot be started: {path}: Permission denied"
    assert found["fix"] == f"Make {workspace.root} writable, or use another workspace."
