"""What was asked and answered is in a file, and a file that cannot be written fails no answer."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from model_server.limits import Limits
from model_server.prediction_log import schema
from model_server.prediction_log.log import Asked
from model_server.prediction_log.sqlite_log import SqliteLog
from model_server.served import Served
from starlette.testclient import TestClient
from trainkit.inference.predictor import Predictor
from trainkit.inference.serving_file import Entry

from unit.model_server import served

MB = 1024**2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def serving(model: Path, log: SqliteLog) -> Iterator[TestClient]:
    with served.client(model, log=log) as opened:
        yield opened


def rows_of(folder: Path, what: str = "SELECT * FROM answers ORDER BY number") -> list[dict[str, object]]:
    uri = f"file:{folder / schema.FILE}?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(what)]


def logged(folder: Path) -> int:
    try:
        return len(rows_of(folder))
    except sqlite3.OperationalError:  # not made yet
        return 0


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def health(server: TestClient) -> str:
    answer = server.get("/health")
    assert answer.status_code == 200
    return str(answer.json()["log"])


def figure(server: TestClient, name: str) -> float:
    [line] = [line for line in server.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_a_row_is_logged_with_all_that_was_answered(tmp_path: Path, folder: Path) -> None:
    model = served.churn(tmp_path / "churn.onnx")
    with serving(model, SqliteLog(folder, limit=MB)) as server:
        answered = server.post("/predict", json={"rows": [served.YES, served.NO]}).json()
        server.post("/predict", json=dict(reversed(served.YES.items())) | {"churn": "no"})
        assert health(server) == "ok"
    yes, no, again = rows_of(folder)
    assert (yes["class"], yes["confidence"]) == ("yes", answered["predictions"][0]["confidence"])
    assert no["class"] == "no"
    assert json.loads(str(no["probabilities"])) == pytest.approx(
        list(answered["predictions"][1]["probabilities"].values()), abs=1e-7
    )
    assert (yes["request"], yes["position"], no["position"]) == (no["request"], 0, 1)
    assert again["request"] != yes["request"]
    # The same row, in another order, and with the column that is predicted.
    assert yes["input"] == again["input"] == hashlib.sha256(b'{"age":5,"plan":"a"}').hexdigest()
    assert (yes["name"], yes["digest"], yes["role"]) == (
        "churn", hashlib.sha256(model.read_bytes()).hexdigest(), "champion"
    )  # fmt: skip
    assert json.loads(str(yes["classes"])) == ["yes", "no"]
    assert 0 < float(str(yes["latency_ms"])) < 10_000
    assert abs(time.time() - datetime.fromisoformat(str(yes["time"])).timestamp()) < 60
    assert rows_of(folder, "SELECT * FROM inputs") == []
    assert (folder / schema.FILE).stat().st_mode & 0o777 == 0o600


def test_a_value_is_logged(tmp_path: Path, folder: Path) -> None:
    with serving(served.price(tmp_path / "price.onnx"), SqliteLog(folder, limit=MB)) as server:
        server.post("/predict", json=served.YES)
    [row] = rows_of(folder)
    assert (row["value"], row["class"], row["confidence"], row["probabilities"]) == (6.0, None, None, None)


def test_images_are_kept_once_with_every_protocol(tmp_path: Path, folder: Path) -> None:
    file = served.image((10, 200, 90), kind="JPEG")
    text = base64.b64encode(file).decode()
    pixels = np.full((8, 8, 3), 7)
    with serving(
        served.colours(tmp_path / "colours.onnx"), SqliteLog(folder, limit=MB, keeps_inputs=True)
    ) as server:
        server.post("/predict", files={"image": ("a.jpg", file)})
        server.post("/predict", content=file, headers={"Content-Type": "image/jpeg"})
        server.post("/invocations", json={"instances": [text]})
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}
        server.post("/v2/models/colours/infer", json={"inputs": [tensor]})
        answered = server.post("/invocations", json={"instances": [pixels.tolist()]})
        assert answered.status_code == 200
    kept = rows_of(folder, "SELECT * FROM inputs ORDER BY kind")
    assert [(row["kind"], row["digest"]) for row in kept] == [
        ("image", hashlib.sha256(file).hexdigest()),
        ("pixels", hashlib.sha256(bytes(kept[1]["content"])).hexdigest()),  # type: ignore[call-overload]
    ]
    assert kept[0]["content"] == file
    assert (np.load(io.BytesIO(bytes(kept[1]["content"]))) == pixels).all()  # type: ignore[call-overload]
    logged = rows_of(folder)
    assert [row["input"] for row in logged] == [kept[0]["digest"]] * 4 + [kept[1]["digest"]]
    embedding = np.frombuffer(bytes(logged[0]["embedding"]), "<f4")  # type: ignore[call-overload]
    assert embedding.shape == (3,)


def test_the_oldest_go_but_not_what_has_a_label(tmp_path: Path, folder: Path) -> None:
    limit = 400_000
    model = served.churn(tmp_path / "churn.onnx")
    rows = [{"age": age, "plan": "a"} for age in range(500)]
    with serving(model, SqliteLog(folder, limit=limit, keeps_inputs=True)) as server:
        server.post("/predict", json={"rows": rows[:2]})
        until(lambda: logged(folder) == 2)
        first, second = rows_of(folder)
        with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as connection, connection:
            connection.execute(
                "INSERT INTO labels VALUES (NULL, ?, ?, 'no', 'carol', '2026-11-28T00:00:00Z')",
                (second["request"], second["position"]),
            )
        for _ in range(8):
            server.post("/predict", json={"rows": rows})
            time.sleep(0.3)
        assert (health(server), figure(server, "prediction_log_dropped_total")) == ("ok", 0)
    left = rows_of(folder)
    assert first["id"] not in [row["id"] for row in left]
    assert (left[0]["id"], left[0]["label"]) == (second["id"], "no")
    assert 500 < len(left) < 4000
    assert (folder / schema.FILE).stat().st_size < 1.25 * limit + 500_000
    kept = {row["digest"] for row in rows_of(folder, "SELECT digest FROM inputs")}
    assert kept == {row["input"] for row in left}


def test_a_full_disk_stops_the_log_and_no_answer_and_it_goes_on_when_there_is_room(
    tmp_path: Path, folder: Path
) -> None:
    model = served.churn(tmp_path / "churn.onnx")
    rows = [{"age": age, "plan": "a"} for age in range(1000)]
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        log = SqliteLog(folder, limit=100 * MB, most_inputs=3000, retry_s=0.1)
        with serving(model, log) as server:
            server.post("/predict", json={"rows": rows})
            until(lambda: logged(folder) == 1000)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
            for _ in range(8):
                assert len(server.post("/predict", json={"rows": rows}).json()["predictions"]) == 1000
            until(lambda: health(server).startswith("error: "))
            for _ in range(4):
                assert server.post("/predict", json={"rows": rows}).status_code == 200
            assert figure(server, "prediction_log_errors_total") >= 1
            dropped = figure(server, "prediction_log_dropped_total")
            assert dropped >= 1000
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            until(lambda: health(server) == "ok")
            server.post("/predict", json=served.YES)
        assert len(rows_of(folder)) == 13 * 1000 + 1 - dropped
        [[check]] = [list(row.values()) for row in rows_of(folder, "PRAGMA integrity_check")]
        assert check == "ok"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def asked_of(tmp_path: Path, count: int) -> Asked:
    rows = [served.YES] * count
    predictor = Predictor.open(served.churn(tmp_path / "churn.onnx"))
    model = Served.of("churn", predictor, Entry(file="m", label="churn"), Limits())
    return Asked(time.time(), "0123", "champion", model, rows, model.predictor.answers(rows), 0.001)


@pytest.mark.parametrize("repaired", [True, False])
def test_at_the_end_it_is_written_once_more_and_what_cannot_be_is_counted(
    tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str], repaired: bool
) -> None:
    log = SqliteLog(folder, limit=MB, retry_s=60)
    (folder / schema.FILE).mkdir()
    log.start()
    log.record(asked_of(tmp_path, 3))
    until(lambda: log.errors == 1)
    if repaired:
        (folder / schema.FILE).rmdir()
    log.stop()
    assert log.dropped == (0 if repaired else 3)
    assert ("Predictions that are not in the log: 3" in capfd.readouterr().err) == (not repaired)
    if repaired:
        assert logged(folder) == 3


def vanished(folder: Path) -> None:
    folder.rmdir()


def corrupt(folder: Path) -> None:
    (folder / schema.FILE).write_bytes(b"no database" * 1000)


def another(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as connection, connection:
        connection.execute("CREATE TABLE mine (a)")


def newer(folder: Path) -> None:
    another(folder)
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as connection, connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")


@pytest.mark.parametrize("damage", [vanished, corrupt, another, newer])
def test_a_log_that_cannot_be_written_is_said_and_tried_again(
    tmp_path: Path, folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder)
    before = {path: path.read_bytes() for path in folder.glob("*")}
    log = SqliteLog(folder, limit=MB, retry_s=0.1)
    with serving(served.churn(tmp_path / "churn.onnx"), log) as server:
        assert server.post("/predict", json=served.YES).status_code == 200
        until(lambda: health(server).startswith("error: "))
        assert server.post("/predict", json=served.YES).status_code == 200
        assert {path: path.read_bytes() for path in folder.glob("*")} == before
        if folder.exists():
            (folder / schema.FILE).rename(tmp_path / "aside")
        else:
            folder.mkdir()
        until(lambda: health(server) == "ok")
    assert len(rows_of(folder)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_is_read_only_is_said(tmp_path: Path, folder: Path) -> None:
    folder.chmod(0o500)
    try:
        log = SqliteLog(folder, limit=MB, retry_s=0.1)
        with serving(served.churn(tmp_path / "churn.onnx"), log) as server:
            assert server.post("/predict", json=served.YES).status_code == 200
            until(lambda: "Permission denied" in health(server))
    finally:
        folder.chmod(0o700)


def test_a_file_that_is_removed_while_it_is_written_is_made_again(tmp_path: Path, folder: Path) -> None:
    log = SqliteLog(folder, limit=MB, retry_s=0.1)
    with serving(served.churn(tmp_path / "churn.onnx"), log) as server:
        server.post("/predict", json=served.YES)
        until(lambda: logged(folder) == 1)
        for path in folder.iterdir():
            path.unlink()
        server.post("/predict", json=served.NO)
        until(lambda: logged(folder) == 1)
    assert [row["class"] for row in rows_of(folder)] == ["no"]


def test_who_holds_the_file_keeps_no_answer_waiting(tmp_path: Path, folder: Path) -> None:
    with serving(served.churn(tmp_path / "churn.onnx"), SqliteLog(folder, limit=MB)) as server:
        server.post("/predict", json=served.YES)
        until(lambda: logged(folder) == 1)
        with contextlib.closing(sqlite3.connect(folder / schema.FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            for _ in range(50):
                assert server.post("/predict", json=served.YES).status_code == 200
            assert time.monotonic() - began < 2
            other.execute("ROLLBACK")
    assert len(rows_of(folder)) == 51


def test_a_server_that_starts_again_goes_on_with_its_log(tmp_path: Path, folder: Path) -> None:
    model = served.churn(tmp_path / "churn.onnx")
    for count in (1, 2):
        with serving(model, SqliteLog(folder, limit=MB)) as server:
            server.post("/predict", json=served.YES)
        assert len(rows_of(folder)) == count
    assert not [thread for thread in threading.enumerate() if thread.name == "prediction log"]
    assert [path.name for path in folder.iterdir()] == [schema.FILE]


def test_a_model_and_its_shadow_that_answer_in_turns_are_told_apart(tmp_path: Path, folder: Path) -> None:
    row = [served.YES]
    one, other = (
        Served.of(
            "skin",
            Predictor.open(served.churn(tmp_path / f"{n}.onnx")),
            Entry(file="m", label=f"{n}"),
            Limits(),
        )
        for n in (1, 2)
    )
    log = SqliteLog(folder, limit=MB)
    log.start()
    asked = Asked(time.time(), "0123", "champion", one, row, one.predictor.answers(row), 0.001)

    def shadow() -> None:
        for _ in range(500):
            log.record(asked._replace(role="shadow", served=other))

    thread = threading.Thread(target=shadow)
    thread.start()
    for _ in range(500):
        log.record(asked)
    thread.join()
    log.stop()
    found = rows_of(folder, "SELECT role, called, count(*) AS n FROM answers GROUP BY 1, 2")
    assert [tuple(row.values()) for row in found] == [("champion", "1", 500), ("shadow", "2", 500)]
    assert (log.status, log.dropped) == ("ok", 0)
