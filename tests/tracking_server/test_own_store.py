"""A server opens no place but its own store, on the host as in a container, and takes no other request."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

import pytest
from mlflow_server import routes
from support import Site

from tracking_server.asking import ADMIN, PASSWORD, Either, ask
from tracking_server.conftest import CANARY
from tracking_server.containers import Server

API = "/api/2.0/mlflow"
# MLflow's features that a server of ours does not have.
LEFT_OUT = (
    r"/gateway/|/mlflow/gateway|/gateway-proxy",  # asks other hosts
    r"/webhooks",  # asks other hosts
    r"/jobs\b|/invoke$|/assistant/|/prompt-optimization/|/scorers/|/demo/",  # run code
    r"/create-promptlab-run$|/presigned-upload-url$|/workspaces",  # write where a request says
    r"/mcp-servers",  # hands out addresses of programs
    r"/unified-traces$|/get-online-trace-details$|2.0mlflow",  # answer 404 at MLflow's too
    r"GET /graphql$",  # a page of another origin could have it sent
    r"/build/",  # the pages' files again
    r"POST /.*/ui-telemetry$",  # sends on what a page says
)
# What a field says that might name a place.
PLACES = {
    "CreateExperiment.artifact_location": "location",
    "CreateModelVersion.source": "source",
    # The path of an artifact in its run: MLflow refuses what leaves it, the store does as well.
    "ListArtifacts.path": "path",
    "ListLoggedModelArtifacts.artifact_directory_path": "path",
    "CreatePresignedDownloadUrl.path": "path",
    "AbortMultipartUpload.path": "path",
    "CompleteMultipartUpload.path": "path",
    "CreateMultipartUpload.path": "path",
    # Text for people and clients; the server opens none of it.
    "CompleteMultipartUpload.parts.url": "text",
    "CreateDataset.source": "text",
    "LogInputs.datasets.dataset.source": "text",
    "UpdateAssessment.update_mask.paths": "text",
    # Of routes that are left out.
    "CreatePresignedUploadUrl.path": "",
    "CreatePromptOptimizationJob.source_prompt_uri": "",
    "CreateWebhook.url": "",
    "UpdateWebhook.url": "",
    "CreateWorkspace.default_artifact_root": "",
    "UpdateWorkspace.default_artifact_root": "",
    "CreateWorkspace.trace_archival_config.location": "",
    "UpdateWorkspace.trace_archival_config.location": "",
    # Of GraphQL.
    "MlflowListArtifactsInput.path": "path",
}
MAY_NAME_A_PLACE = re.compile(
    r"uri|url|location|source$|path|artifact|destination|host|root$|\bfile|folder|dir", re.IGNORECASE
)


class Mlflow(TypedDict):
    """What `mlflow_routes` prints."""

    routes: list[tuple[str, str]]
    fields: list[str]
    graphql: list[str]


@pytest.fixture(scope="module")
def mlflow() -> Mlflow:
    """What the installed MLflow serves and reads."""
    program = Path(__file__).with_name("mlflow_routes.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    payload: Mlflow = json.loads(done.stdout.splitlines()[-1])
    return payload


def test_every_route_of_mlflow_is_either_offered_or_left_out(mlflow: Mlflow) -> None:
    offered = set()
    unknown = []
    for method, rule in mlflow["routes"]:
        if method in ("HEAD", "OPTIONS") or rule == "/health":
            continue
        path = re.sub(r"<[^>]+>|\{[^}]+\}", "1", rule)
        route = routes.find(method, path)
        is_left_out = any(re.search(pattern, f"{method} {path}") for pattern in LEFT_OUT)
        assert not (route and is_left_out), (method, rule)
        if route is None and not is_left_out:
            unknown.append((method, rule))
        offered.add(route)
    assert unknown == [], "a new route of MLflow: offer it in mlflow_server/routes.py, or leave it out here"
    assert set(routes.ALL) <= offered, "a route that MLflow has no more"


def test_every_field_of_a_request_that_may_name_a_place_is_known(mlflow: Mlflow) -> None:
    results = {
        name
        for name in mlflow["fields"] + mlflow["graphql"]
        if MAY_NAME_A_PLACE.search(name.rpartition(".")[2])
    }
    assert results == set(PLACES), (
        "a new field of MLflow: see whether mlflow_server/locations.py has to check it"
    )
    assert any(name.startswith("MlflowGetRunInput.") for name in mlflow["graphql"])


@pytest.mark.parametrize(
    "place",
    [
        "/etc", "etc", "../x", "file:///etc", "file:/etc", "FILE:///etc", "s3://bucket/x", "http://h:1/x",
        "ftp://host/x", "hdfs://host/x", "runs:/1/x", "mlflow-artifacts:/../x", "mlflow-artifacts:/%2e%2e/x",
        "mlflow-artifacts:/%252e%252e/x", "mlflow-artifacts://evil.example/x", "mlflow-artifacts:x",
        "mlflow-artifacts:/x?a=/etc", "mlflow-artifacts:/x#/etc", "dbfs:/x", " /etc", "/etc\n",
    ],
)  # fmt: skip
def test_an_experiment_is_nowhere_else(either: Either, place: str) -> None:
    for path in (f"{API}/experiments/create", "/ajax-api/2.0/mlflow/experiments/create"):
        for field in ("artifact_location", "artifactLocation"):
            said = either.ask("POST", path, {"name": f"in {place}", field: place})
            assert said.status == 400, (field, place)
            assert json.loads(said.body)["error_code"] == "INVALID_PARAMETER_VALUE"
    twice = either.ask(
        "POST", f"{API}/experiments/create", json.dumps({"name": "a", "artifact_location": place})
    )
    assert twice.status == 400


def test_an_experiment_in_the_store_may_name_its_folder(either: Either) -> None:
    body = {"name": "named", "artifact_location": "mlflow-artifacts:/named/folder"}
    assert either.ask("POST", f"{API}/experiments/create", body).status == 200


def test_a_version_of_a_model_comes_from_the_store(either: Either) -> None:
    either.ask("POST", f"{API}/registered-models/create", {"name": "m"})
    run = either.ask("POST", f"{API}/runs/create", {"experiment_id": "0"})
    run_id = json.loads(run.body)["run"]["info"]["run_id"]
    for source in ("/etc", "file:///etc", "s3://bucket/x", "http://127.0.0.1:1/x", "runs:/../x", "ftp://h/x"):
        body = {"name": "m", "source": source, "run_id": run_id}
        assert either.ask("POST", f"{API}/model-versions/create", body).status == 400, source
    named = {"name": "m", "source": f"runs:/{run_id}/model", "run_id": run_id}
    assert either.ask("POST", f"{API}/model-versions/create", named).status == 200
    good = {"name": "m", "source": f"mlflow-artifacts:/0/{run_id}/artifacts/model", "run_id": run_id}
    made = either.ask("POST", f"{API}/model-versions/create", good)
    assert made.status == 200, made.body
    version = json.loads(made.body)["model_version"]["version"]
    there = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/model/MLmodel"
    assert either.ask("PUT", there, {"a": 1}).status == 200
    got = either.ask("GET", f"/model-versions/get-artifact?name=m&version={version}&path=MLmodel")
    assert json.loads(got.body) == {"a": 1}


def test_a_trace_is_in_the_store(either: Either) -> None:
    for tags in ({"mlflow.artifactLocation": "/etc"}, {"a": "b", "mlflow.artifactLocation": "file:///etc"}):
        info = {"trace_id": "tr-1", "trace_location": {"type": "MLFLOW_EXPERIMENT"}, "tags": tags}
        assert either.ask("POST", "/api/3.0/mlflow/traces", {"trace": {"trace_info": info}}).status == 400
    tag = {"key": "mlflow.artifactLocation", "value": "/etc"}
    for version in ("2.0", "3.0"):
        assert either.ask("PATCH", f"/api/{version}/mlflow/traces/tr-1/tags", tag).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/webhooks"), ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
        ("GET", "/api/2.0/mlflow/gateway-proxy"), ("POST", "/gateway/x/mlflow/invocations"),
        ("POST", "/gateway/proxy/x/y"), ("POST", "/ajax-api/3.0/jobs/"),
        ("POST", "/ajax-api/3.0/mlflow/assistant/message"), ("POST", "/api/3.0/mlflow/workspaces"),
        ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run"), ("POST", "/api/9.0/mlflow/new"),
        ("POST", "/ajax-api/3.0/mlflow/scorer/invoke"), ("GET", "/graphql"),
        ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url"),
        ("PUT", "/api/2.0/mlflow/experiments/create"),
    ],
)  # fmt: skip
def test_what_is_left_out_is_refused_in_words(either: Either, method: str, path: str) -> None:
    said = either.ask(method, path, {})
    assert said.status == 404
    assert json.loads(said.body)["message"] == f"This server does not offer {method} {path}."


def test_the_page_is_told_of_no_gateway_and_no_gateway_is_asked(either: Either) -> None:
    said = either.ask("GET", "/ajax-api/2.0/mlflow/gateway-proxy?gateway_path=api/2.0/endpoints/")
    assert (said.status, json.loads(said.body)) == (200, {"endpoints": []})


def _opens_nothing(either: Either, run_id: str, folder: Path) -> None:
    """The run's artifacts are said to be in a folder that holds secrets.env."""
    listed = f'{{mlflowListArtifacts(input: {{runId: "{run_id}"}}) {{files {{path}}}}}}'
    for method, path, body in (
        ("GET", f"/get-artifact?run_id={run_id}&path=secrets.env", None),
        ("GET", f"{API}/artifacts/list?run_id={run_id}", None),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=written", "x"),
        ("POST", "/graphql", {"query": listed}),
        ("POST", f"{API}/artifacts/presigned-download-url", {"run_id": run_id, "path": "secrets.env"}),
    ):
        said = either.ask(method, path, body)
        assert CANARY not in said.body.decode(errors="replace"), path
        assert b'"path"' not in said.body, (path, said)
    assert not (folder / "written").exists()


def test_a_run_does_not_get_out_by_a_link_in_its_own_folder(process: Site) -> None:
    server = Either(process.uri, process.account)
    spool = process.root / ".trainer" / "runs" / "r" / "spool"
    spool.mkdir(parents=True)
    (spool / "way").symlink_to(process.root)
    for place in (spool, spool / "way", f"file://{spool}/way"):
        body = {"name": f"escape {place}", "artifact_location": str(place)}
        assert server.ask("POST", f"{API}/experiments/create", body).status == 400
    # What a server without these checks took is in the database still, or comes with a backup.
    made = server.ask("POST", f"{API}/runs/create", {"experiment_id": "0"})
    run_id = json.loads(made.body)["run"]["info"]["run_id"]
    store = process.root / "mlruns" / "artifacts"
    (store / "link").symlink_to(process.root)
    for place in (spool / "way", f"file://{spool}/way", store / "link", "mlflow-artifacts:/link",
                  "mlflow-artifacts:/../..", "mlflow-artifacts:/%2e%2e/%2e%2e", "runs:/x/y"):  # fmt: skip
        with sqlite3.connect(process.root / "mlruns" / "mlflow.db") as database:
            database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (str(place), run_id))
        database.close()
        _opens_nothing(server, run_id, process.root)
    for path in ("link/secrets.env", quote("link/../../secrets.env", safe=""), "%2e%2e/%2e%2e/secrets.env"):
        for method in ("GET", "PUT", "DELETE"):
            said = server.ask(method, f"/api/2.0/mlflow-artifacts/artifacts/{path}")
            assert CANARY not in said.body.decode(errors="replace")
            assert said.status >= 400, (method, path)
    assert CANARY in (process.root / "secrets.env").read_text()
    (store / "link").unlink()


def test_a_container_does_not_open_its_own_files(server: Server) -> None:
    either = Either(server.url, (ADMIN, PASSWORD))
    for place in ("/data", "/proc/1", "/tmp", "file:///proc/1"):
        body = {"name": f"escape {place}", "artifact_location": place}
        assert either.ask("POST", f"{API}/experiments/create", body).status == 400
    server.run("sh", "-c", "mkdir -p /data/artifacts && ln -sfn /proc/1 /data/artifacts/link")
    for method in ("GET", "PUT", "DELETE"):
        assert either.ask(method, "/api/2.0/mlflow-artifacts/artifacts/link/environ").status >= 400, method
    assert PASSWORD not in either.ask("GET", "/api/2.0/mlflow-artifacts/artifacts/link/environ").body.decode()


@pytest.mark.parametrize("path", [".", "./", "%2e", "./.", "file:."])
def test_the_store_as_a_whole_is_not_deleted(either: Either, path: str) -> None:
    artifacts = "/api/2.0/mlflow-artifacts/artifacts"
    for kept in ("kept/a", "kept/b"):
        assert either.ask("PUT", f"{artifacts}/{kept}", "x").status == 200
    refused = either.ask("DELETE", f"{artifacts}/{path}")
    assert (refused.status, json.loads(refused.body)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert either.ask("GET", f"{artifacts}/kept/a").body == b'"x"'
    assert either.ask("DELETE", f"{artifacts}/kept/./a").status == 200
    assert either.ask("GET", f"{artifacts}/kept/a").status == 404
    assert either.ask("GET", f"{artifacts}/kept/b").status == 200


def test_the_process_asks_for_a_password_everywhere(process: Site, mlflow: Mlflow) -> None:
    for account in (None, ("trainer", "wrong"), ("trainer", ""), ("", process.account[1])):
        for path in ("/", "/version", "/login", f"{API}/experiments/search", "/get-artifact", "/graphql"):
            # 429 if other tests have just guessed passwords of that account
            assert ask(process.uri + path, account=account).status in (401, 429), (account, path)
    for method, rule in mlflow["routes"]:
        path = re.sub(r"<[^>]+>|\{[^}]+\}", "1", rule)
        if path != "/health" and not path.startswith("/static-files/"):
            assert ask(process.uri + path, method, account=None).status == 401, (method, path)


def test_nobody_else_on_the_machine_reads_what_the_process_keeps(process: Site) -> None:
    assert process.client.search_experiments()
    state, store = process.root / ".trainer", process.root / "mlruns"
    for private in (state, state / "server", store):
        assert private.stat().st_mode & 0o777 == 0o700, private
    for private in (state / "server" / "password", store / "mlflow.db"):
        assert private.stat().st_mode & 0o777 == 0o600, private
    password = process.account[1].encode()
    for seen in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert password not in seen.read_bytes()
        except OSError:
            continue
    assert password not in (state / "server.json").read_bytes()
    assert password not in (state / "server.log").read_bytes()


def test_nobody_else_reads_what_the_container_keeps(server: Server) -> None:
    either = Either(server.url, (ADMIN, PASSWORD))
    assert either.ask("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/private.txt", "x").status == 200
    assert server.run("stat", "-c", "%a", "/data/artifacts/0/private.txt") == "600\n"
    assert server.run("stat", "-c", "%a", "/data/artifacts/0") == "700\n"


def test_an_artifact_is_no_page_of_the_servers(either: Either) -> None:
    place = "/api/2.0/mlflow-artifacts/artifacts/0/page.html"
    assert either.ask("PUT", place, "<script>alert(1)</script>").status == 200
    sent = either.ask("GET", place).headers
    assert sent["content-disposition"].startswith("attachment")
    assert sent["x-content-type-options"] == "nosniff"
