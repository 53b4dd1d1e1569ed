"""Another model takes the place of the one that answers."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from model_server import app, watching
from model_server.limits import Limits
from model_server.watching import Watch
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from trainkit.inference import serving_file
from trainkit.inference.predictor import Predictor
from trainkit.inference.serving_file import Entry, Refusal, ServingFile

from unit.model_server import served
from unit.model_server.served import churn, image
from unit.trainkit.inference.models import image_description, write_colours

RED = image((250, 10, 10))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LOOK_S", 0.02)


class Volume:
    """What the host has put beside a server."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / serving_file.NAME

    def serve(self, file: str, number: int, *refused: Refusal) -> None:
        entry = Entry(file=file, label="skin@champion", version=str(number))
        self.path.write_text(ServingFile(model=entry, refused=refused).text())

    def add(self, file: str, *, order: tuple[int, int, int] = (0, 1, 2)) -> Path:
        return write_colours(self.path.with_name(file), order=order)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    volume = Volume(tmp_path)
    volume.add("one.onnx")
    volume.add("two.onnx", order=(2, 1, 0))
    volume.serve("one.onnx", 1)
    return volume


def opened(volume: Volume, opener: Callable[..., Predictor] | None = None) -> TestClient:
    return TestClient(made(volume, opener), raise_server_exceptions=False)


def made(volume: Volume, opener: Callable[..., Predictor] | None = None) -> ASGIApp:
    opener = opener or Predictor.open
    entry = serving_file.read(volume.path).model
    predictor = Predictor.open(volume.path.with_name(entry.file), threads=1)
    return app.make("skin", predictor, entry, watch=Watch(volume.path, 1, opener))


@pytest.fixture
def server(volume: Volume) -> Iterator[TestClient]:
    with opened(volume) as client:
        yield client


def until(told: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + 10
    while (said := told()) != wanted:
        assert time.monotonic() < deadline, said
        time.sleep(0.01)


def model(server: TestClient) -> str:
    return str(server.get("/version").json()["model"])


def answer(server: TestClient) -> str:
    predicted = server.post("/predict", content=RED, headers={"Content-Type": "image/png"})
    assert predicted.status_code == 200, predicted.text
    return str(predicted.json()["predictions"][0]["class"])


def test_the_model_that_the_file_names_answers_and_is_named_everywhere(
    server: TestClient, volume: Volume
) -> None:
    assert (model(server), answer(server)) == ("skin@1", "red")
    before = server.get("/version").json()["version"]
    volume.serve("two.onnx", 2)
    until(lambda: model(server), "skin@2")
    assert answer(server) == "blue"
    after = server.get("/version").json()["version"]
    assert after != before
    assert server.get("/v2/models/skin").json()["versions"] == [after]
    assert server.get(f"/v2/models/skin/versions/{before}").status_code == 404
    assert server.get("/health").json() == {
        "status": "ok", "name": "skin", "version": after, "model": "skin@2", "log": "off",
    }  # fmt: skip
    lines = server.get("/metrics").text.splitlines()
    info = [line for line in lines if line.startswith("model_info{")]
    assert info == [f'model_info{{model="skin@2",name="skin",version="{after}"}} 1.0']
    assert {"model_swaps_total 1.0", "model_degraded 0.0"} <= set(lines)


def test_the_same_file_under_another_number_is_not_loaded_again(volume: Volume) -> None:
    asked: list[Path] = []

    def opener(path: Path, *, threads: int) -> Predictor:
        asked.append(path)
        return Predictor.open(path, threads=threads)

    with opened(volume, opener) as server:
        volume.serve("one.onnx", 7)
        until(lambda: model(server), "skin@7")
        assert "model_swaps_total 0.0" in server.get("/metrics").text
    assert asked == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"no model"), "is no ONNX file that can be used"),
        (lambda _: None, "There is no file"),
        (
            lambda path: write_colours(path, image_description(classes=("b", "g", "r"))),
            "its classes are b, g, r, not blue, green, red",
        ),
        (churn, "it takes rows, not images"),
    ],
)  # fmt: skip
def test_one_that_cannot_take_its_place_leaves_it_and_that_is_said(
    server: TestClient,
    volume: Volume,
    make: Callable[[Path], object],
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make(volume.path.with_name("bad.onnx"))
    volume.serve("bad.onnx", 3)
    until(lambda: server.get("/health").json()["status"], "degraded")
    health = server.get("/health")
    assert health.status_code == 200  # it answers
    assert said in health.json()["reason"]
    assert health.json()["model"] == "skin@1"
    assert answer(server) == "red"
    assert "model_degraded 1.0" in server.get("/metrics").text
    assert capfd.readouterr().err.count("Error: skin@3 is not served: ") == 1
    volume.serve("two.onnx", 4)
    until(lambda: server.get("/health").json()["status"], "ok")
    assert answer(server) == "blue"


def test_a_half_written_file_is_not_heeded_and_a_broken_one_is_said(
    server: TestClient, volume: Volume
) -> None:
    volume.path.write_text('{"model": {"file": "two.on')
    until(lambda: server.get("/health").json()["status"], "degraded")
    assert "serving.json cannot be used" in server.get("/health").json()["reason"]
    assert model(server) == "skin@1"
    volume.serve("two.onnx", 2)
    until(lambda: server.get("/health").json()["status"], "ok")
    assert model(server) == "skin@2"


def test_what_the_host_refuses_is_said(server: TestClient, volume: Volume) -> None:
    volume.serve(
        "one.onnx", 1, Refusal(label="skin@champion", version="2", why="skin@2 is not served: it takes rows.")
    )
    until(lambda: server.get("/health").json().get("reason"), "skin@2 is not served: it takes rows.")
    volume.serve("one.onnx", 1)
    until(lambda: server.get("/health").json()["status"], "ok")


def test_no_request_fails_while_models_take_turns(server: TestClient, volume: Volume) -> None:
    stop, failures, classes = threading.Event(), list[str](), set[str]()

    def ask() -> None:
        while not stop.is_set():
            try:
                classes.add(answer(server))
            except AssertionError as error:
                failures.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        volume.serve("two.onnx" if number % 2 == 0 else "one.onnx", number)
        until(lambda: model(server), f"skin@{number}")
    stop.set()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert classes == {"red", "blue"}


def test_a_request_that_has_begun_is_answered_by_the_model_it_began_with(volume: Volume) -> None:
    application, limits = made(volume), Limits()
    with served.listening(application, limits) as port, requests.Session() as session:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", "image/png")
        connection.putheader("Content-Length", str(len(RED)))
        connection.endheaders(RED[:9])
        url = f"http://127.0.0.1:{port}"
        until(lambda: session.get(f"{url}/version").json()["model"], "skin@1")
        volume.serve("two.onnx", 2)
        until(lambda: session.get(f"{url}/version").json()["model"], "skin@2")
        connection.send(RED[9:])
        first = json.load(connection.getresponse())
        connection.close()
        second = session.post(f"{url}/predict", data=RED, headers={"Content-Type": "image/png"}).json()
    assert first["predictions"][0]["class"] == "red"
    assert second["predictions"][0]["class"] == "blue"
    assert first["model"]["version"] != second["model"]["version"]
