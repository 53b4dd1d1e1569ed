"""A spool reaches the server whole, in order and once, whatever the server does meanwhile."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import yaml
from trainkit.spool import models as spool_models
from trainkit.spool.delivery import Delivery
from trainkit.spool.journal import Record, Spool
from trainkit.spool.launcher_records import waiting
from trainkit.spool.responses import API, LOG_BATCH, RecordFailed, Response, ServerUnavailable, plain

from unit.helpers import Reply, serving

RUN = {"info": {"run_id": "r1", "artifact_uri": "mlflow-artifacts:/1/r1/artifacts"}, "data": {}}
URI = "mlflow-artifacts:/1/r1/artifacts"


class FakeServer:
    """What MLflow's server keeps of what it is sent, by its own rules; `failures` come first."""

    is_launchers = True

    def __init__(self) -> None:
        self.points: list[tuple[object, ...]] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.outputs: list[str] = []
        self.runs: list[Record] = []
        self.calls: list[str] = []
        self.status = "RUNNING"
        self.failures: list[Response | ServerUnavailable] = []
        self.storing: ServerUnavailable | None = None
        self.version = "3.17.2"
        self.shown: list[Record] = []
        self.refusing: dict[str, Response] = {}
        """By the end of a path, or a part of a body."""

    def send(
        self, method: str, path: str, body: object = None, *,
        query: Mapping[str, str] | None = None, file: Path | None = None,  # noqa: ARG002
    ) -> Response:  # fmt: skip
        self.calls.append(f"{method} {path.removeprefix(API)}")
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, ServerUnavailable):
                raise failure
            if failure.status:
                return failure
        asked = f"{json.dumps(body)} {path}"
        for said, answer in self.refusing.items():
            if said in asked:
                return answer
        if file:
            self.files[path.partition("/artifacts/")[2]] = file.read_bytes()
            return Response(200, "{}")
        return self._take(path.removeprefix(API), cast(Record, body or {}))

    def store(self, uri: str, folder: str, file: Path) -> Response:
        if self.storing:
            raise self.storing
        self.files[f"{uri}/{folder}/{file.name}"] = file.read_bytes()
        return Response(200, "{}")

    def _take(self, path: str, body: Record) -> Response:  # noqa: C901 (one case a call)
        match path:
            case "/version":
                return Response(200, self.version)
            case "/runs/log-model":
                self.shown.append(json.loads(str(body["model_json"])))
            case "/runs/log-batch":
                metrics = cast(list[Record], body.get("metrics") or [])
                if any(metric["key"] == "bad" for metric in metrics):
                    return refusal("INVALID_PARAMETER_VALUE", "Invalid name: bad")
                if len(metrics) > 1000:
                    return refusal("INVALID_PARAMETER_VALUE", "too many")
                for metric in metrics:
                    point = tuple(metric[name] for name in ("key", "step", "timestamp", "value"))
                    if point not in self.points:
                        self.points.append(point)
                self.params |= {
                    str(p["key"]): str(p["value"]) for p in cast(list[Record], body.get("params") or [])
                }
                self.tags |= {
                    str(t["key"]): str(t["value"]) for t in cast(list[Record], body.get("tags") or [])
                }
            case "/runs/set-tag":
                self.tags[str(body["key"])] = str(body["value"])
            case "/runs/delete-tag":
                if self.tags.pop(str(body["key"]), None) is None:
                    return refusal("RESOURCE_DOES_NOT_EXIST", "no such tag", 404)
            case "/runs/update":
                self.status = str(body["status"])
            case "/runs/outputs":
                self.outputs += [str(model["model_id"]) for model in cast(list[Record], body["models"])]
            case "/runs/get":
                outputs = {"model_outputs": [{"model_id": model} for model in self.outputs]}
                tags = [{"key": "mlflow.log-model.history", "value": json.dumps(self.shown)}]
                payload = {"info": RUN["info"], "data": {"tags": tags}, "outputs": outputs}
                return Response(200, json.dumps({"run": payload}))
            case "/runs/search":
                tag = str(body["filter"]).split("'")[1]
                results = [run for run in self.runs if tag in json.dumps(run)]
                return Response(200, json.dumps({"runs": results}))
            case "/runs/create":
                number = len(self.runs)
                info = {
                    "run_id": f"real{number}",
                    "artifact_uri": f"mlflow-artifacts:/1/real{number}/artifacts",
                }
                self.runs.append({"info": info, "data": {"tags": body["tags"]}})
                return Response(200, json.dumps({"run": self.runs[-1]}))
        return Response(200, "{}")


def refusal(code: str, message: str, status: int = 400) -> Response:
    return Response(status, json.dumps({"error_code": code, "message": message}))


def batch(**items: object) -> Record:
    return {"method": "POST", "path": LOG_BATCH, "body": {"run_id": "r1", **items}}


def point(step: int, key: str = "loss") -> Record:
    return batch(metrics=[{"key": key, "step": step, "timestamp": 1000 + step, "value": step / 7}])


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.create(RUN)
    return spool


def fill(spool: Spool, tmp_path: Path) -> None:
    """Something of every kind."""
    spool.append(batch(params=[{"key": "colour", "value": "blue"}]))
    for step in range(30):
        spool.append(point(step))
    spool.append(batch(tags=[{"key": "shape", "value": "round"}, {"key": "gone", "value": "soon"}]))
    spool.append(
        {"method": "POST", "path": f"{API}/runs/delete-tag", "body": {"run_id": "r1", "key": "gone"}}
    )
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"content of {name}")
        spool.append({"file": spool.keep(tmp_path / name, name), "uri": URI, "path": "notes"})
    models = {"run_id": "r1", "models": [{"model_id": "m-1", "step": 0}]}
    spool.append({"method": "POST", "path": f"{API}/runs/outputs", "body": models})
    spool.append(batch(tags=[{"key": "shape", "value": "square"}]))
    spool.append(
        {"method": "POST", "path": f"{API}/runs/update", "body": {"run_id": "r1", "status": "FINISHED"}}
    )


def check(server: FakeServer) -> None:
    assert server.points == [("loss", step, 1000 + step, step / 7) for step in range(30)]
    assert server.params == {"colour": "blue"}
    assert server.tags == {"shape": "square"}
    assert server.files == {
        f"1/r1/artifacts/notes/{n}": f"content of {n}".encode() for n in ("a.txt", "b.txt")
    }
    assert server.outputs == ["m-1"]
    assert server.status == "FINISHED"


def test_everything_arrives_in_few_requests(spool: Spool, tmp_path: Path) -> None:
    fill(spool, tmp_path)
    server = FakeServer()
    Delivery(spool, server).deliver()
    check(server)
    assert server.calls.count("POST /runs/log-batch") == 2
    assert spool.pending() == []
    assert list((spool.folder / "outbox").iterdir()) == []


def test_a_second_delivery_sends_nothing(spool: Spool, tmp_path: Path) -> None:
    fill(spool, tmp_path)
    server = FakeServer()
    Delivery(spool, server).deliver()
    server.calls.clear()
    Delivery(Spool(spool.folder), server).deliver()
    assert server.calls == []


def test_a_full_replay_adds_nothing(spool: Spool, tmp_path: Path) -> None:
    fill(spool, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(spool.folder, copy)
    server = FakeServer()
    Delivery(spool, server).deliver()
    Delivery(Spool(copy), server).deliver()
    check(server)


@pytest.mark.parametrize("seed", range(20))
def test_an_outage_at_any_request_costs_nothing(spool: Spool, tmp_path: Path, seed: int) -> None:
    fill(spool, tmp_path)
    randomly = random.Random(seed)
    server = FakeServer()
    for attempt in range(41):
        what = (
            ServerUnavailable("it is down"),
            Response(500, "stub"),
            Response(401, "no"),
            Response(503, "busy"),
            Response(0, ""),
        )
        server.failures = [randomly.choice(what) for _ in range(8 if attempt < 40 else 0)]
        try:
            Delivery(spool, server).deliver()
            break
        except ServerUnavailable:
            continue
    check(server)


def test_while_something_waits_the_run_is_marked(spool: Spool, tmp_path: Path) -> None:
    fill(spool, tmp_path)
    server = FakeServer()
    server.failures = [ServerUnavailable("it is down")]
    with pytest.raises(ServerUnavailable, match="it is down"):
        Delivery(spool, server).deliver()
    assert "trainer.undelivered" not in server.tags
    server.failures = [Response(0, ""), Response(0, ""), ServerUnavailable("again")]
    with pytest.raises(ServerUnavailable, match="again"):
        Delivery(spool, server).deliver()
    assert server.tags["trainer.undelivered"] == "some of this run is still on the disk it ran on"
    Delivery(spool, server).deliver()
    check(server)


def test_what_the_server_refuses_is_kept_and_costs_nothing_else(spool: Spool, tmp_path: Path) -> None:
    spool.append(point(1))
    spool.append(point(2, key="bad"))
    spool.append(point(3))
    server = FakeServer()
    Delivery(spool, server).deliver()
    assert [made[1] for made in server.points] == [1, 3]
    assert server.tags == {"trainer.refused": "the server answered 400: Invalid name: bad"}
    kept = json.loads((spool.folder / "refused").read_text())
    assert (kept["record"], kept["status"]) == (point(2, key="bad"), 400)
    assert tmp_path.exists()


def test_a_record_that_the_server_fails_at_alone_is_set_aside_after_some_tries(spool: Spool) -> None:
    spool.append({"method": "POST", "path": f"{API}/runs/inputs", "body": {"run_id": "r1"}})
    spool.append(point(1))
    server = FakeServer()
    delivery = Delivery(spool, server)
    for is_marked in (False, True, True, True):
        server.failures = [*[Response(0, "")] * is_marked, refusal("INTERNAL_ERROR", "a bug", 500)]
        with pytest.raises(RecordFailed, match="a bug"):
            delivery.deliver()
    server.failures = [Response(0, ""), refusal("INTERNAL_ERROR", "a bug", 500)]
    delivery.deliver()
    assert len(server.points) == 1
    assert "a bug" in (spool.folder / "refused").read_text()


def page(status: int, title: str) -> str:
    return f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body><h1>{title}</h1></body></html>"


NGINX = "nginx/1.22.1"


@pytest.mark.parametrize(
    ("what", "answer", "reason"),
    [
        (
            "/artifacts/notes/a.txt",
            Response(413, page(413, "Request Entity Too Large"), NGINX),
            f"notes/a.txt (16 bytes): {NGINX}, in front of the server, answered 413: "
            "Request Entity Too Large, by its limit for a request (nginx: client_max_body_size)",
        ),
        (
            "/runs/outputs",
            Response(404, page(404, "Not Found"), "gunicorn"),
            "the server answered 404: Not Found",
        ),
        (
            "/runs/outputs",
            refusal("ENDPOINT_NOT_FOUND", "This server does not offer it.", 404),
            "the server answered 404: This server does not offer it.",
        ),
        (
            "/artifacts/notes/a.txt",
            refusal("PERMISSION_DENIED", "Permission denied", 403),
            "notes/a.txt (16 bytes): the server answered 403: Permission denied",
        ),
        (
            "colour",
            Response(403, page(403, "Forbidden"), NGINX),
            f"{NGINX}, in front of the server, answered 403: Forbidden",
        ),
        ("a.txt", Response(403, ""), "the reason is on the disk that it ran on"),
        ("colour", Response(400, "Bad\nRequest"), "the server answered 400: Bad Request"),
    ],
)  # fmt: skip
def test_what_is_refused_for_its_size_route_or_content_stops_nothing(
    spool: Spool, tmp_path: Path, what: str, answer: Response, reason: str
) -> None:
    fill(spool, tmp_path)
    server = FakeServer()
    server.refusing = {what: answer}
    Delivery(spool, server).deliver()
    assert (server.status, len(server.points), spool.pending()) == ("FINISHED", 30, [])
    assert server.tags == {"shape": "square", "trainer.refused": reason}
    (kept,) = map(json.loads, (spool.folder / "refused").read_text().splitlines())
    assert kept["status"] == answer.status
    assert kept["answer"] == (reason if answer.text else "notes/a.txt (16 bytes): the server answered 403")
    if "file" in kept["record"]:
        assert (spool.folder / kept["record"]["file"]).read_text() == "content of a.txt"
        assert list(server.files) == ["1/r1/artifacts/notes/b.txt"]


@pytest.mark.parametrize("status", [401, 403, 404, 413, 302, 502])
@pytest.mark.parametrize("what", ["", "log-batch", "POST"])
def test_a_server_that_refuses_everything_is_away(
    spool: Spool, tmp_path: Path, status: int, what: str
) -> None:
    fill(spool, tmp_path)
    server = FakeServer()
    answer = Response(status, page(status, "No"), NGINX)
    server.refusing = {"/runs/": answer} if what != "log-batch" else {"log-batch": answer, "set-tag": answer}
    for _ in range(7):
        with pytest.raises(ServerUnavailable) as away:
            Delivery(spool, server).deliver()
        assert "<" not in str(away.value)
    assert not (spool.folder / "refused").exists()
    server.refusing = {}
    Delivery(spool, server).deliver()
    check(server)


@pytest.mark.parametrize("was_away", [True, False])
def test_a_server_without_the_run_is_given_nothing(spool: Spool, tmp_path: Path, was_away: bool) -> None:
    server = FakeServer()
    unknown = refusal("RESOURCE_DOES_NOT_EXIST", "Run with id=r1 not found", 404)
    server.refusing = {"/runs/": unknown}
    if was_away:  # then files are not put where no run is, either
        (tmp_path / "f").write_text("content")
        spool.append({"file": spool.keep(tmp_path / "f", "f"), "uri": URI, "path": ""})
        (spool.folder / "marked").touch()
    spool.append(point(1))
    with pytest.raises(ServerUnavailable, match="Run with id=r1 not found"):
        Delivery(spool, server).deliver()
    assert spool.delivered() == 0
    assert not (spool.folder / "refused").exists()
    assert not server.files


def test_a_server_that_can_be_read_and_not_written_is_away(spool: Spool) -> None:
    spool.append(point(1))
    server = FakeServer()
    server.refusing = {path: refusal("INTERNAL_ERROR", "read-only", 500) for path in ("log-batch", "set-tag")}
    delivery = Delivery(spool, server)
    for _ in range(7):
        with pytest.raises(ServerUnavailable, match="read-only"):
            delivery.deliver()
    assert not (spool.folder / "refused").exists()


def test_an_answer_with_marks_of_a_page_in_a_name_is_no_page(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("content")
    spool.append({"file": spool.keep(tmp_path / "f", "f"), "uri": URI, "path": ""})
    server = FakeServer()
    server.refusing = {"": Response(200, '{"run_info": {"run_name": "a <b>bold</b> <html> name"}}')}
    Delivery(spool, server).deliver()
    assert spool.pending() == []


def test_a_login_page_is_no_success(spool: Spool, tmp_path: Path) -> None:
    fill(spool, tmp_path)
    server = FakeServer()
    server.refusing = {"": Response(200, page(200, "Sign in"))}
    with pytest.raises(ServerUnavailable, match="not an MLflow tracking server"):
        Delivery(spool, server).deliver()
    server.refusing = {}
    Delivery(spool, server).deliver()
    check(server)


def test_a_model_that_the_server_refuses_to_make_is_kept_with_all_that_is_of_it(
    spool: Spool, tmp_path: Path
) -> None:
    model = f"m-{'1' * 32}"
    uri = f"mlflow-artifacts:/offline/{model}/artifacts"
    body = {"experiment_id": "1", "tags": []}
    spool.append({"create": "model", "local": model, "uri": uri, "body": body})
    (tmp_path / "MLmodel").write_text("it")
    spool.append({"file": spool.keep(tmp_path / "MLmodel", "MLmodel"), "uri": uri, "path": ""})
    models = {"run_id": "r1", "models": [{"model_id": model, "step": 0}]}
    spool.append({"method": "POST", "path": f"{API}/runs/outputs", "body": models})
    spool.append(point(1))
    server = FakeServer()
    server.refusing = {"/logged-models": Response(404, page(404, "Not Found"), NGINX)}
    Delivery(spool, server).deliver()
    assert (len(server.points), server.files, server.outputs) == (1, {}, [])
    kept = [json.loads(line) for line in (spool.folder / "refused").read_text().splitlines()]
    assert [next(iter(item["record"])) for item in kept] == ["create", "file", "method"]
    assert "Not Found" in kept[0]["answer"]


def test_a_run_that_the_server_refuses_to_make_stays_whole(spool: Spool) -> None:
    spool = Spool(spool.folder.parent / "offline")
    spool.create({"info": {"run_id": "f00d", "artifact_uri": URI}, "data": {}})
    made_up(spool)
    server = FakeServer()
    server.refusing = {"/runs/create": refusal("INVALID_PARAMETER_VALUE", "The experiment is deleted")}
    with pytest.raises(ServerUnavailable, match="answered 400: The experiment is deleted"):
        Delivery(spool, server).deliver()
    assert not (spool.folder / "refused").exists()
    server.refusing = {}
    Delivery(spool, server).deliver()
    assert server.tags == {"a": "b"}


LOCKED = """(sqlite3.OperationalError) database is locked
[SQL: INSERT INTO tags ("key", value, run_uuid) VALUES (?, ?, ?)]
[parameters: ('note', '<p>hunter2</p>', 'f00d')]
(Background on this error at: https://sqlalche.me/e/20/e3q8)"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (page(404, "Not Found"), "404 Not Found"),
        (
            "<!DOCTYPE html><style>p {}</style><p>No &lt;such&gt;\n<b>app</b><script>x</script>",
            "No <such> app",
        ),
        ("two\n  lines", "two lines"),
        ("a" * 400, "a" * 299 + "…"),
        ("1 < 2", "1 < 2"),
        ("", ""),
        (LOCKED, "(sqlite3.OperationalError) database is locked"),
        (LOCKED.replace("\n", "\\n"), "(sqlite3.OperationalError) database is locked"),
        (f"(raised as a result of Query-invoked autoflush; …)\n{LOCKED}", LOCKED.partition("\n")[0]),
        (
            "(psycopg2.errors.UniqueViolation) duplicate key\nDETAIL:  Key (a)=(hunter2) already exists.\n",
            "(psycopg2.errors.UniqueViolation) duplicate key",
        ),
    ],
)
def test_what_somebody_else_says_is_reported_in_one_line_without_html(text: str, line: str) -> None:
    assert plain(text) == line


def made_up(spool: Spool) -> None:
    body = {"experiment_id": "1", "tags": [{"key": "trainer.offline_id", "value": "f00d"}]}
    uri = "mlflow-artifacts:/offline/f00d/artifacts"
    spool.append({"create": "run", "local": "f00d", "uri": uri, "body": body})
    spool.append(
        {
            "method": "POST",
            "path": LOG_BATCH,
            "body": {"run_id": "f00d", "tags": [{"key": "a", "value": "b"}]},
        }
    )


def test_a_run_that_was_made_up_is_made_once(spool: Spool, tmp_path: Path) -> None:
    made_up(spool)
    (tmp_path / "MLmodel").write_text("run_id: f00d\n")
    uri = "mlflow-artifacts:/offline/f00d/artifacts"
    spool.append({"file": spool.keep(tmp_path / "MLmodel", "MLmodel"), "uri": uri, "path": "model"})
    server = FakeServer()
    Delivery(spool, server).deliver()
    assert len(server.runs) == 1
    assert server.files == {"1/real0/artifacts/model/MLmodel": b"run_id: real0\n"}
    assert spool.names()["f00d"] == "real0"


def test_a_run_whose_making_was_heard_but_not_answered_is_found_again(spool: Spool) -> None:
    made_up(spool)
    server = FakeServer()
    server._take("/runs/create", {"tags": [{"key": "trainer.offline_id", "value": "f00d"}]})
    Delivery(spool, server).deliver()
    assert len(server.runs) == 1


STORE = "s3://bucket/1/r1/artifacts"


class OfTheRun(FakeServer):
    """The same server as a run sees it."""

    is_launchers = False


def fill_for_a_store(spool: Spool, tmp_path: Path) -> None:
    """A point, a model of one file and a last point, in a run whose artifacts the server does not pass on."""
    spool.leave_artifacts()
    spool.append(point(1))
    (tmp_path / "MLmodel").write_text("it")
    spool.append({"file": spool.keep(tmp_path / "MLmodel", "MLmodel"), "uri": STORE, "path": "model"})
    ready = {"model_id": "m-1", "status": "LOGGED_MODEL_READY"}
    spool.append({"method": "PATCH", "path": f"{API}/logged-models/m-1", "body": ready})
    spool.append(point(2))


def test_a_run_leaves_the_files_of_a_store_to_its_launcher(spool: Spool, tmp_path: Path) -> None:
    fill_for_a_store(spool, tmp_path)
    seen = OfTheRun()
    Delivery(spool, seen).deliver()
    assert (seen.calls, seen.files) == (["POST /runs/log-batch"] * 2, {})
    assert spool.pending() == []  # the run sees that everything is done
    assert [entry.record and next(iter(entry.record)) for entry in waiting(spool)] == ["file", "method"]
    server = FakeServer()
    Delivery(Spool(spool.folder), server).deliver()
    assert server.files == {f"{STORE}/model/MLmodel": b"it"}
    assert server.calls == ["PATCH /logged-models/m-1"]  # when the model is there, and no point again
    assert list(waiting(spool)) == []
    assert list((spool.folder / "outbox").iterdir()) == []


def test_a_store_that_is_away_keeps_the_files_and_marks_the_run(spool: Spool, tmp_path: Path) -> None:
    fill_for_a_store(spool, tmp_path)
    Delivery(spool, OfTheRun()).deliver()
    spool.append(point(3))
    server = FakeServer()
    server.storing = ServerUnavailable("the bucket is away")
    for _ in range(2):
        with pytest.raises(ServerUnavailable, match="the bucket is away"):
            Delivery(spool, server).deliver()
    assert server.tags["trainer.undelivered"] == "some of this run is still on the disk it ran on"
    assert [file.read_text() for file in spool.folder.glob("outbox/*/*")] == ["it"]
    server.storing = None
    Delivery(spool, server).deliver()
    assert (list(server.files.values()), server.tags) == ([b"it"], {})
    assert [made[1] for made in server.points] == [3]
    assert list(waiting(spool)) == []


MODEL = "m-" + "0a" * 16
MODEL_URI = f"mlflow-artifacts:/offline/{MODEL}/artifacts"
MLMODEL = f"""\
artifact_path: {MODEL_URI}
flavors:
  sklearn:
    pickled_model: model.pkl
model_id: {MODEL}
model_uuid: {MODEL}
run_id: r1
signature:
  inputs: '[{{"type": "array"}}]'
utc_time_created: '2026-01-01 00:00:00'
"""


def log_model(spool: Spool, tmp_path: Path, mlmodel: str = MLMODEL) -> None:
    """As MLflow 3 does it where no server can make the model yet."""
    body = {"experiment_id": "1", "name": "model", "source_run_id": "r1", "tags": []}
    spool.append({"create": "model", "local": MODEL, "uri": MODEL_URI, "body": body})
    models = {"run_id": "r1", "models": [{"model_id": MODEL, "step": 0}]}
    for what in ("outputs", "log-inputs"):
        spool.append({"method": "POST", "path": f"{API}/runs/{what}", "body": models})
    for name, content in (("MLmodel", mlmodel), ("model.pkl", "weights")):
        (tmp_path / name).write_text(content)
        spool.append({"file": spool.keep(tmp_path / name, name), "uri": MODEL_URI, "path": ""})
    for method, path in (("PATCH", ""), ("PATCH", "/tags"), ("POST", "/params")):
        spool.append({"method": method, "path": f"{API}/logged-models/{MODEL}{path}", "body": {}})
    spool.append(batch(tags=[{"key": "where", "value": f"models:/{MODEL}"}]))


@pytest.mark.parametrize("version", ["2.9.2", "2.22.1"])
def test_before_mlflow_3_a_model_is_files_of_its_run(spool: Spool, tmp_path: Path, version: str) -> None:
    log_model(spool, tmp_path)
    server = FakeServer()
    server.version = version
    Delivery(spool, server).deliver()
    described = server.files.pop("1/r1/artifacts/model/MLmodel").decode()
    assert server.files == {"1/r1/artifacts/model/model.pkl": b"weights"}
    model = yaml.safe_load(described)
    assert (model["run_id"], model["artifact_path"], model["model_uuid"]) == ("r1", "model", MODEL[2:])
    assert "model_id" not in model
    [shown] = server.shown
    assert shown["flavors"] == {"sklearn": {"pickled_model": "model.pkl"}}
    assert shown["artifact_path"] == "model"
    assert "signature" not in shown  # an old server may not understand it
    assert server.tags == {"where": "runs:/r1/model"}
    assert not [call for call in server.calls if "logged-models" in call or "puts" in call]
    assert spool.pending() == []


def test_a_model_that_was_delivered_in_part_is_shown_once(spool: Spool, tmp_path: Path) -> None:
    log_model(spool, tmp_path)
    server = FakeServer()
    server.version = "2.22.1"
    for number in range(12):  # every request of the first, and some of what is left
        server.failures = [Response(0, "")] * number + [ServerUnavailable("it is down")]
        with contextlib.suppress(ServerUnavailable):
            Delivery(spool, server).deliver()
    Delivery(spool, server).deliver()
    assert len(server.shown) == 1
    assert sorted(server.files) == [f"1/r1/artifacts/model/{name}" for name in ("MLmodel", "model.pkl")]


@pytest.mark.parametrize(
    "mlmodel", ["", "- a list", "{", "flavors: &a [1]\nrun_id: *a\n", "[" * 2000], ids=lambda text: text[:9]
)
def test_a_model_that_describes_itself_oddly_is_stored_and_not_shown(
    spool: Spool, tmp_path: Path, mlmodel: str
) -> None:
    log_model(spool, tmp_path, mlmodel)
    server = FakeServer()
    server.version = "2.22.1"
    Delivery(spool, server).deliver()
    assert "1/r1/artifacts/model/MLmodel" in server.files
    assert spool.pending() == []


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_a_model_that_the_server_will_not_show_is_stored(spool: Spool, tmp_path: Path, status: int) -> None:
    log_model(spool, tmp_path)
    server = FakeServer()
    server.version = "2.22.1"
    # It is asked for its version and, twice, for the run before.
    server.failures = [*[Response(0, "")] * 3, Response(status, "no")]
    Delivery(spool, server).deliver()
    assert (server.shown, server.tags) == ([], {"where": "runs:/r1/model"})
    assert "1/r1/artifacts/model/MLmodel" in server.files
    assert spool.pending() == []


def test_a_model_is_named_as_the_server_can_store_it() -> None:
    record: Record = {"body": {"name": 'a"b\\c#d'}, "uri": MODEL_URI}
    names = spool_models.names(MODEL, record, cast(Mapping[str, str], RUN["info"]))
    assert names[MODEL_URI] == f"{URI}/a~b~c~23d"


DELIVERER = """
import os, sys
from pathlib import Path
from trainer.tracking.client import Client
from trainer.tracking.delivery import deliver as bring
from trainer.tracking.endpoint import Server
from trainer.workspace.run_folder import RunFolder
bring(Client(Server(sys.argv[1])), RunFolder(Path(sys.argv[2])))
"""


def test_a_delivery_that_is_killed_at_any_time_is_finished_by_the_next(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.create(RUN)
    for number in range(60):
        spool.append(point(number))
        (tmp_path / "f").write_text(f"content {number}")
        spool.append({"file": spool.keep(tmp_path / "f", f"{number}.txt"), "uri": URI, "path": ""})
    randomly = random.Random(1)
    with serving() as server:
        server.replies["*"] = [Reply(200, "{}", delay_s=0.004)]
        killed = 0
        while spool.pending():
            process = subprocess.Popen([sys.executable, "-c", DELIVERER, server.uri, str(tmp_path)])
            before = len(server.asked)
            while len(server.asked) == before and process.poll() is None:
                time.sleep(0.001)
            time.sleep(randomly.random() * 0.15)
            killed += process.poll() is None
            assert not process.poll()  # a deliverer that fails would be started for ever
            process.kill()
            process.wait()
        stored = {a.path.rpartition("/")[2]: a.body.decode() for a in server.asked if a.method == "PUT"}
        bodies = [json.loads(a.body) for a in server.asked if a.path == LOG_BATCH]
        steps = [metric["step"] for body in bodies for metric in body["metrics"]]
    assert killed > 3
    assert stored == {f"{number}.txt": f"content {number}" for number in range(60)}
    assert sorted(set(steps)) == list(range(60))
