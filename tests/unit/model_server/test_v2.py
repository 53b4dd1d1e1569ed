from __future__ import annotations

import base64
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from unit.model_server.served import client, image, price

AGE = {"name": "age", "datatype": "INT64", "shape": [2, 1], "data": [[5], [5]]}
PLAN = {"name": "plan", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}
INFER = "/v2/models/churn/infer"


def test_health_and_metadata(rows: TestClient) -> None:
    assert rows.get("/v2/health/live").json() == {"live": True}
    assert rows.get("/v2/health/ready").json() == {"ready": True}
    assert rows.get("/v2").json()["extensions"] == []
    assert rows.get("/v2/models/churn/ready").json() == {"name": "churn", "ready": True}
    metadata = rows.get("/v2/models/churn").json()
    assert metadata["inputs"] == [
        {"name": "age", "datatype": "FP64", "shape": [-1, 1]},
        {"name": "plan", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    assert metadata["outputs"] == [
        {"name": "class", "datatype": "BYTES", "shape": [-1]},
        {"name": "confidence", "datatype": "FP64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
    ]
    assert metadata["parameters"] == {"classes": ["yes", "no"]}
    [version] = metadata["versions"]
    assert rows.get(f"/v2/models/churn/versions/{version}").json() == metadata


def test_rows_are_answered(rows: TestClient) -> None:
    answer = rows.post(INFER, json={"id": "7", "inputs": [AGE, PLAN]}).json()
    assert (answer["id"], answer["model_name"]) == ("7", "churn")
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["class"]["data"] == ["yes", "no"]
    assert outputs["confidence"]["data"] == pytest.approx([0.99995, 0.99995], abs=1e-4)
    assert outputs["probabilities"]["shape"] == [2, 2]
    assert len(outputs["probabilities"]["data"]) == 4


def test_only_what_is_asked_for_is_answered(rows: TestClient) -> None:
    body = {"inputs": [AGE, PLAN], "outputs": [{"name": "class"}]}
    assert [output["name"] for output in rows.post(INFER, json=body).json()["outputs"]] == ["class"]


def test_a_regression_is_answered_with_values(tmp_path: Path) -> None:
    with client(price(tmp_path / "price.onnx")) as opened:
        answer = opened.post("/v2/models/price/infer", json={"inputs": [AGE, PLAN]}).json()
    assert answer["outputs"] == [{"name": "value", "datatype": "FP64", "shape": [2], "data": [6.0, 6.0]}]


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("BYTES", [1], [base64.b64encode(image()).decode()]),
        ("UINT8", [1, 8, 8, 3], [255, 0, 0] * 64),
        ("FP32", [1, 8, 8, 3], [[[[255.0, 0, 0]] * 8] * 8]),
    ],
)
def test_images_are_answered_as_by_predict(
    pictures: TestClient, datatype: str, shape: list[int], data: list[object]
) -> None:
    body = {"inputs": [{"name": "image", "datatype": datatype, "shape": shape, "data": data}]}
    answer = pictures.post("/v2/models/colours/infer", json=body)
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    [predicted] = pictures.post("/predict", content=image(), headers={"Content-Type": "image/png"}).json()[
        "predictions"
    ]
    assert outputs["class"] == [predicted["class"]] == ["red"]
    assert outputs["confidence"] == pytest.approx([predicted["confidence"]], abs=1e-6)


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "The JSON has no inputs."),
        ([], "The JSON has no inputs."),
        ({"inputs": []}, "The JSON has no inputs."),
        ({"inputs": [1]}, "Input 1 is to have name, datatype, shape and data."),
        ({"inputs": [{**AGE, "datatype": "COMPLEX"}]}, "Input 1 is to have"),
        ({"inputs": [{**AGE, "shape": [3]}]}, "The input age has 2 values, not [3]."),
        ({"inputs": [{**AGE, "shape": [1, 2]}, PLAN]}, "The input age is not of the shape (n, 1)."),
        ({"inputs": [AGE, AGE]}, "Two inputs have the same name."),
        ({"inputs": [AGE]}, "Row 1 has no column 'plan'."),
        ({"inputs": [AGE, {**PLAN, "shape": [1], "data": ["a"]}]}, "different numbers of values"),
        ({"inputs": [AGE, PLAN], "outputs": [{"name": "other"}]}, "There is no output other."),
        ({"inputs": [AGE, PLAN], "outputs": 3}, "There is no output None."),
        ({"inputs": [{**AGE, "data": nested(900)}]}, "nested more than 4 deep"),
    ],
)
def test_what_the_protocol_does_not_have_is_refused(rows: TestClient, body: object, said: str) -> None:
    answer = rows.post(INFER, json=body)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "image", "datatype": "FP32", "shape": [1], "data": [1.0]},
        {"name": "image", "datatype": "UINT8", "shape": [192], "data": ["a"] * 192},
        {"name": "picture", "datatype": "BYTES", "shape": [1], "data": ["a"]},
    ],
)
def test_what_is_no_image_is_refused(pictures: TestClient, tensor: object) -> None:
    assert pictures.post("/v2/models/colours/infer", json={"inputs": [tensor]}).status_code == 400


def test_another_model_or_version_is_not_there(rows: TestClient) -> None:
    for path in ("/v2/models/dog", "/v2/models/churn/versions/9", "/v2/models/dog/ready"):
        answer = rows.get(path)
        assert answer.status_code == 404
        assert "There is no model" in answer.json()["error"]


def test_binary_tensors_are_refused(rows: TestClient) -> None:
    answer = rows.post(INFER, content=b"{}", headers={"Inference-Header-Content-Length": "2"})
    assert answer.json()["error"] == "Binary tensors are not taken."
