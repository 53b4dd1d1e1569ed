from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from unit.model_server.served import NO, YES, client, image, price


def test_an_image_is_answered_with_its_class_and_confidence(pictures: TestClient) -> None:
    answer = pictures.post("/predict", content=image(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 200, answer.text
    [prediction] = answer.json()["predictions"]
    assert prediction["class"] == "red"
    assert prediction["confidence"] == prediction["probabilities"]["red"] == pytest.approx(0.9647, abs=1e-4)
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    assert answer.json()["model"]["name"] == "colours"


def test_several_files_of_a_form_are_answered_in_their_order(pictures: TestClient) -> None:
    files = [("image", ("a.png", image((0, 255, 0)))), ("image", ("b.jpg", image((0, 0, 255), kind="JPEG")))]
    answer = pictures.post("/predict", files=files)
    assert [(each["file"], each["class"]) for each in answer.json()["predictions"]] == [
        ("a.png", "green"),
        ("b.jpg", "blue"),
    ]


def cmyk() -> bytes:
    return image((0, 255, 255, 0), kind="JPEG", mode="CMYK")


def animated() -> bytes:
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 0, 255)))
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second])
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [cmyk(), animated(), image((255, 0, 0, 255), mode="RGBA"), image((65535,), mode="I;16")],
    ids=["CMYK", "animated", "RGBA", "16 bit"],
)
def test_images_of_all_kinds_are_answered(pictures: TestClient, content: bytes) -> None:
    answer = pictures.post("/predict", content=content, headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 200, answer.text


def bomb() -> bytes:
    """A PNG that says it has 900 million pixels."""
    content = bytearray(image())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no image", "The image: not an image"),
        (b"", "The image: empty file"),
        (image()[:60], "The image"),
        (bomb(), "pixels"),
    ],
    ids=["text", "empty", "half", "bomb"],
)
def test_what_is_no_image_is_refused(pictures: TestClient, content: bytes, said: str) -> None:
    answer = pictures.post("/predict", content=content, headers={"Content-Type": "image/png"})
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert answer.json()["hint"]


def test_one_wrong_file_of_a_form_is_named(pictures: TestClient) -> None:
    files = [("image", ("a.png", image())), ("image", ("notes.txt", b"no image"))]
    answer = pictures.post("/predict", files=files)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("notes.txt")


@pytest.mark.parametrize(
    "body",
    [{"rows": [YES, NO]}, [YES, NO], {"rows": [{**YES, "age": "5"}, NO]}],
    ids=["rows", "list", "text"],
)
def test_rows_are_answered_in_their_order(rows: TestClient, body: object) -> None:
    answer = rows.post("/predict", json=body)
    assert [each["class"] for each in answer.json()["predictions"]] == ["yes", "no"]


def test_a_row_may_have_what_is_predicted(rows: TestClient) -> None:
    assert rows.post("/predict", json={**YES, "churn": "no"}).json()["predictions"][0]["class"] == "yes"


def test_a_row_alone_is_a_row(rows: TestClient) -> None:
    [prediction] = rows.post("/predict", json=YES).json()["predictions"]
    assert prediction["confidence"] == pytest.approx(0.99995, abs=1e-5)


def test_a_regression_is_answered_with_its_value(tmp_path: Path) -> None:
    with client(price(tmp_path / "price.onnx")) as opened:
        assert opened.post("/predict", json=YES).json()["predictions"] == [{"value": 6.0}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"rows": [YES, {"age": 1}]}, "Row 2 has no column 'plan'."),
        ({"rows": [{**YES, "more": 1}]}, "Row 1 has a column 'more'"),
        ({"rows": [{**YES, "age": "old"}]}, "Row 1: column 'age' has 'old'"),
        ({"rows": []}, "There are no rows in the request."),
        ([1, 2], "The JSON has no rows."),
        ("text", "The JSON has no rows."),
    ],
)
def test_a_wrong_row_is_refused_by_number_and_column(rows: TestClient, body: object, said: str) -> None:
    answer = rows.post("/predict", json=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"{", "application/json", "no JSON"),
        (b"\xff\xfe", "application/json", "no JSON"),
        (b"[" * 100_000, "application/json", "no JSON"),
        (b"a", "text/plain", "text/plain is not taken"),
        (b"a", "", "without a content type"),
        (b"a", "image/png", "takes rows, not images"),
        (b"a", "multipart/form-data; boundary=x", "takes rows, not images"),
    ],
)
def test_what_is_no_request_is_refused(rows: TestClient, content: bytes, kind: str, said: str) -> None:
    answer = rows.post("/predict", content=content, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
        ),
        (b"nothing of it", "multipart/form-data; boundary=x"),
        (b"a", "multipart/form-data"),
    ],
)
def test_a_form_without_a_file_is_refused(pictures: TestClient, content: bytes, kind: str) -> None:
    answer = pictures.post("/predict", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert "form" in answer.json()["error"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("GET", "/nothing", 404)])
def test_what_there_is_not_is_said_as_json(rows: TestClient, method: str, path: str, status: int) -> None:
    answer = rows.request(method, path)
    assert answer.status_code == status
    assert json.loads(answer.text)["error"].startswith(f"{method} {path}")


def test_a_mistake_of_the_server_is_told_without_its_traceback(
    rows: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("secret of the server")

    monkeypatch.setattr("model_server.routes.predict.predictions", fails)
    answer = rows.post("/predict", json=YES)
    assert answer.status_code == 500
    assert answer.json()["error"] == "The server failed at this request."
    assert "secret" not in answer.text
