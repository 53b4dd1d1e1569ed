"""A shadow is asked what the model has answered, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from model_server import app, shadow, watching
from model_server.prediction_log.log import Asked
from model_server.watching import Watch
from starlette.testclient import TestClient
from trainkit.inference.predictor import Predictor
from trainkit.inference.serving_file import NAME, Entry, ServingFile

from unit.model_server.served import churn, image, price
from unit.trainkit.inference.models import write_colours

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


class Kept:
    """A log in memory."""

    errors = dropped = 0
    status = "ok"

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def record(self, asked: Asked) -> None:
        self.asked.append(asked)

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Opener:
    """Opens models; the shadow is the one that is opened with a single thread."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.fails = False

    def __call__(self, path: Path, *, threads: int | None) -> Predictor:
        predictor = Predictor.open(path, threads=threads)
        session, opener = predictor._session, self

        class Session:
            def run(self, names: Sequence[str], feed: object) -> object:
                opener.may_answer.wait(30)
                if opener.fails:
                    raise RuntimeError("a mistake")
                return session.run(names, feed)  # type: ignore[arg-type]

        object.__setattr__(predictor, "_session", Session())
        return predictor


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LOOK_S", 0.02)


class Shop:
    """A model with a shadow that takes red for blue, and the reverse."""

    def __init__(self, folder: Path) -> None:
        self.path, self.log, self.opener = folder / NAME, Kept(), Opener()
        write_colours(folder / "one.onnx")
        write_colours(folder / "two.onnx", order=(2, 1, 0))
        self.serve("two.onnx", "4")
        entry = Entry(file="one.onnx", label="skin@champion", version="3")
        watch = Watch(self.path, None, self.opener)
        predictor = Predictor.open(folder / "one.onnx", threads=1)
        self.client = TestClient(
            app.make("skin", predictor, entry, watch=watch, log=self.log), raise_server_exceptions=False
        )

    def serve(self, file: str | None, version: str = "") -> None:
        shadow = Entry(file=file, label="skin@challenger", version=version) if file else None
        model = Entry(file="one.onnx", label="skin@champion", version="3")
        self.path.write_text(ServingFile(model=model, shadow=shadow).text())

    def ask(self, colour: str) -> str:
        files = {"image": ("a.png", image(COLOURS[colour]))}
        answer = self.client.post("/predict", files=files)
        assert answer.status_code == 200
        return str(answer.json()["predictions"][0]["class"])

    def figure(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    def shadow(self) -> str:
        return str(self.client.get("/health").json().get("shadow", ""))


def until(told: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + 10
    while (said := told()) != wanted:
        assert time.monotonic() < deadline, said
        time.sleep(0.01)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    with shop.client:
        until(shop.shadow, "skin@4")
        yield shop
        shop.opener.may_answer.set()


def test_the_champion_answers_and_both_are_logged_and_compared(shop: Shop) -> None:
    assert [shop.ask(colour) for colour in ("red", "green", "blue")] == ["red", "green", "blue"]
    until(lambda: shop.figure("shadow_requests_total"), 3)
    assert shop.figure("shadow_disagreements_total") == 2  # green is green
    assert shop.figure("shadow_dropped_total") == 0
    by_role = {
        role: {asked.request: asked for asked in shop.log.asked if asked.role == role}
        for role in ("champion", "shadow")
    }
    assert by_role["champion"].keys() == by_role["shadow"].keys()
    assert len(by_role["shadow"]) == 3
    for request, asked in by_role["shadow"].items():
        assert asked.served.entry.called == "skin@4"
        assert asked.inputs == by_role["champion"][request].inputs
    assert "shadow_info{" in shop.client.get("/metrics").text


def test_a_slow_shadow_delays_no_answer_and_what_it_cannot_keep_up_with_is_counted(shop: Shop) -> None:
    shop.opener.may_answer.clear()
    begun = time.monotonic()
    count = shadow._MOST + 21
    for _ in range(count):
        assert shop.ask("red") == "red"
    assert time.monotonic() - begun < 20
    assert shop.figure("shadow_dropped_total") >= 20
    shop.opener.may_answer.set()
    waited = shop.figure("shadow_dropped_total")
    until(lambda: shop.figure("shadow_requests_total"), count - waited)


def test_what_waits_for_it_takes_no_more_memory_than_it_may(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "_MOST_BYTES", 2000)
    shop.opener.may_answer.clear()
    for _ in range(20):
        shop.ask("red")
    assert shop.figure("shadow_dropped_total") > 10


def test_a_shadow_that_fails_harms_nobody(shop: Shop) -> None:
    shop.opener.fails = True
    assert shop.ask("red") == "red"
    until(lambda: shop.figure("shadow_errors_total"), 1)
    shop.opener.fails = False
    assert shop.ask("red") == "red"
    until(lambda: shop.figure("shadow_requests_total"), 1)


def test_its_alias_moves_too_and_it_can_go(shop: Shop) -> None:
    write_colours(shop.path.with_name("three.onnx"))
    shop.serve("three.onnx", "5")
    until(shop.shadow, "skin@5")
    shop.ask("red")
    until(lambda: shop.figure("shadow_requests_total"), 1)
    assert shop.figure("shadow_disagreements_total") == 0
    shop.serve("three.onnx", "6")
    until(shop.shadow, "skin@6")
    shop.serve(None)
    until(shop.shadow, "")
    until(lambda: [each.name for each in threading.enumerate() if each.name == "shadow"], [])
    assert shop.ask("red") == "red"
    assert "shadow_info{" not in shop.client.get("/metrics").text


def test_one_that_takes_something_else_is_not_asked(shop: Shop) -> None:
    churn(shop.path.with_name("rows.onnx"))
    shop.serve("rows.onnx", "7")
    until(lambda: shop.client.get("/health").json()["status"], "degraded")
    assert shop.client.get("/health").json()["reason"] == "skin@7 is not served: it takes rows, not images."
    assert shop.shadow() == "skin@4"
    assert shop.ask("red") == "red"


def test_values_agree_within_a_percent(tmp_path: Path) -> None:
    path = price(tmp_path / "one.onnx")
    entry = Entry(file="one.onnx", label="price", version=None)
    serving = tmp_path / NAME
    serving.write_text(ServingFile(model=entry, shadow=entry).text())
    served = app.make("price", Predictor.open(path, threads=1), entry, watch=Watch(serving))
    with TestClient(served) as client:
        until(lambda: client.get("/health").json().get("shadow"), "price")
        client.post("/predict", json=[{"age": 5, "plan": "a"}, {"age": 7, "plan": "b"}])
        until(lambda: "shadow_requests_total 2.0" in client.get("/metrics").text, True)
        assert "shadow_disagreements_total 0.0" in client.get("/metrics").text
