"""`POST /explain`."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from model_server.limits import Limits
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient
from trainkit.inference import explanation, images
from trainkit.inference.description import Images
from trainkit.inference.predictor import Answers, Predictor

from unit.model_server.served import NO, YES, application, client, colours, image, listening, price

AS_IMAGE = {"Content-Type": "image/png"}


def half_red() -> bytes:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16] = (255, 0, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_an_image_is_explained_by_the_map_of_trainer_predict(pictures: TestClient, tmp_path: Path) -> None:
    answer = pictures.post("/explain", content=half_red(), headers=AS_IMAGE)
    assert answer.status_code == 200, answer.text
    explained = answer.json()["explanation"]
    predicted = pictures.post("/predict", content=half_red(), headers=AS_IMAGE).json()["predictions"][0]
    assert {name: explained[name] for name in predicted} == predicted
    predictor = Predictor.open(tmp_path / "colours.onnx", threads=1)
    taken = predictor.description.input
    assert isinstance(taken, Images)
    occlusion = explanation.occlusion(
        images.from_bytes(half_red(), taken), lambda inputs: predictor.answers(inputs).values
    )
    kind, _, encoded = explained["picture"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(encoded) == explanation.png(occlusion)
    assert explained["largest_drop"] == pytest.approx(np.abs(occlusion.drops).max(), abs=1e-6)


def test_a_row_is_explained_by_its_columns(rows: TestClient) -> None:
    explained = rows.post("/explain", json=NO).json()["explanation"]
    assert explained["class"] == "no"
    whole, without = explained["confidence"], {}
    for column in NO:
        said = rows.post("/predict", json={**NO, column: None}).json()
        without[column] = said["predictions"][0]["probabilities"]["no"]
    assert explained["drops"] == pytest.approx({column: whole - rest for column, rest in without.items()})
    assert next(iter(explained["drops"])) == "plan"


def test_a_missing_cell_is_not_explained(rows: TestClient) -> None:
    assert list(rows.post("/explain", json={**YES, "plan": None}).json()["explanation"]["drops"]) == ["age"]


def test_a_value_is_explained_in_its_unit(tmp_path: Path) -> None:
    with client(price(tmp_path / "price.onnx")) as opened:
        explained = opened.post("/explain", json={"rows": [YES]}).json()["explanation"]
    assert explained == {"value": 6.0, "drops": {"age": 5.0, "plan": 1.0}}


def test_it_counts_neither_as_an_answer_nor_as_a_request_for_one(rows: TestClient) -> None:
    rows.post("/explain", json=YES)
    lines = rows.get("/metrics").text.splitlines()
    assert 'model_requests_total{route="/explain",status="200"} 1.0' in lines
    assert [line for line in lines if line.startswith("model_predictions_total{")] == []


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"{}", "application/json", "Row 1 has no column 'age'."),
        (b"[]", "application/json", "The JSON is not one row."),
        (json.dumps([YES, NO]).encode(), "application/json", "The JSON is not one row."),
        (b"a", "image/png", "The content type image/png is not taken."),
        (b"a", "", "The body has no content type."),
    ],
)
def test_what_cannot_be_explained_is_refused(rows: TestClient, content: bytes, kind: str, said: str) -> None:
    answer = rows.post("/explain", content=content, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 400
    assert answer.json()["error"] == said


def test_no_form_is_taken_since_a_page_elsewhere_could_send_it(pictures: TestClient) -> None:
    for kind in ("multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded"):
        answer = pictures.post("/explain", content=image(), headers={"Content-Type": kind})
        assert answer.status_code == 400


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that takes 30 ms an image, and so 2 s to explain one."""
    answers = Predictor._answers

    def patiently(self: Predictor, batch: Mapping[str, NDArray[np.generic]]) -> Answers:
        time.sleep(0.03 * len(next(iter(batch.values()))))
        return answers(self, batch)

    monkeypatch.setattr(Predictor, "_answers", patiently)
    return colours(tmp_path / "colours.onnx")


def test_while_one_is_explained_others_are_answered_and_a_second_is_told_to_come_back(slow: Path) -> None:
    limits = Limits()
    with listening(application(slow, limits=limits), limits) as port, ThreadPoolExecutor() as pool:
        url = f"http://127.0.0.1:{port}"
        explaining = pool.submit(requests.post, f"{url}/explain", half_red(), headers=AS_IMAGE, timeout=30)
        time.sleep(0.5)
        refused = requests.post(f"{url}/explain", half_red(), headers=AS_IMAGE, timeout=30)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["error"] == "The server is explaining another answer."
        took = []
        for _ in range(5):
            began = time.perf_counter()
            assert requests.post(f"{url}/predict", half_red(), headers=AS_IMAGE, timeout=30).ok
            took.append(time.perf_counter() - began)
        assert not explaining.done()
        # What is asked at the moment, and the next few of the explanation with its own.
        assert sorted(took)[2] < 0.3
        assert explaining.result().status_code == 200
        assert requests.post(f"{url}/explain", half_red(), headers=AS_IMAGE, timeout=30).ok


def test_for_who_has_gone_the_model_is_not_asked_any_more(slow: Path) -> None:
    limits = Limits()
    with listening(application(slow, limits=limits), limits) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(requests.ReadTimeout):
            requests.post(f"{url}/explain", half_red(), headers=AS_IMAGE, timeout=0.3)
        time.sleep(0.3)
        began = time.perf_counter()
        assert requests.post(f"{url}/explain", half_red(), headers=AS_IMAGE, timeout=30).ok
        assert time.perf_counter() - began > 1  # it is the whole of another one


def test_an_explanation_takes_so_long_and_no_longer(slow: Path) -> None:
    with client(slow, limits=Limits(explain_s=0.5)) as opened:
        answer = opened.post("/explain", content=half_red(), headers=AS_IMAGE)
        assert answer.status_code == 503
        assert answer.json()["error"] == "There was no explanation within 0.5 s."
        assert opened.post("/predict", content=half_red(), headers=AS_IMAGE).status_code == 200
