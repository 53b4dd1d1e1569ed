from __future__ import annotations

import base64
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from unit.model_server.served import NO, YES, client, image, price

SPLIT = {"columns": ["plan", "age"], "data": [["a", 5], ["b", 5]]}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": {**SPLIT, "index": [0, 1]}},
        {"dataframe_records": [YES, NO]},
        {"instances": [YES, NO]},
        {"instances": [[5, "a"], [5, "b"]]},
        {"inputs": {"age": [5, 5], "plan": ["a", "b"]}},
        {"inputs": [YES, NO], "params": {}},
    ],
)
def test_rows_in_each_form_of_mlflow_are_answered_with_their_classes(rows: TestClient, body: object) -> None:
    answer = rows.post("/invocations", json=body)
    assert (answer.status_code, answer.json()) == (200, {"predictions": ["yes", "no"]})


def test_rows_as_csv_are_answered(rows: TestClient) -> None:
    csv = "age,plan\n5,a\n5,b\n"
    answer = rows.post("/invocations", content=csv, headers={"Content-Type": "text/csv; charset=utf-8"})
    assert answer.json() == {"predictions": ["yes", "no"]}


def test_the_probabilities_are_answered_where_they_are_asked_for(rows: TestClient) -> None:
    body = {"dataframe_records": [YES], "params": {"probabilities": True}}
    [probabilities] = rows.post("/invocations", json=body).json()["predictions"]
    assert probabilities == pytest.approx([0.99995, 0.00005], abs=1e-5)


def test_a_regression_is_answered_with_numbers(tmp_path: Path) -> None:
    with client(price(tmp_path / "price.onnx")) as opened:
        assert opened.post("/invocations", json={"inputs": [YES]}).json() == {"predictions": [6.0]}


def red() -> str:
    return base64.b64encode(image()).decode()


PIXELS = [[[255, 0, 0]] * 8] * 8


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [red()]},
        {"instances": [f"data:image/png;base64,{red()}"]},
        {"inputs": {"image": [red()]}},
        {"dataframe_split": {"columns": ["image"], "data": [[red()]]}},
        {"dataframe_records": [{"image": red()}]},
        {"instances": [PIXELS]},
        {"inputs": [[[[255.0, 0.0, 0.0]] * 8] * 8]},
        {"instances": [{"image": PIXELS}]},
    ],
    ids=["base64", "data URL", "column", "split", "records", "integers", "floats", "named"],
)
def test_images_are_answered_with_all_probabilities(pictures: TestClient, body: object) -> None:
    answer = pictures.post("/invocations", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == [pytest.approx([0.0177, 0.0177, 0.9647], abs=1e-4)]


def test_the_classes_are_answered_where_they_are_asked_for(pictures: TestClient) -> None:
    body = {"instances": [red()], "params": {"probabilities": False}}
    assert pictures.post("/invocations", json=body).json() == {"predictions": ["red"]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "dataframe_split"),
        ([], "dataframe_split"),
        ({"dataframe_records": [YES], "instances": [YES]}, "is to have one of"),
        ({"dataframe_split": {"data": 1}}, "dataframe_split has no columns and data"),
        ({"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}, "Row 1 has 2 cells, not 1."),
        ({"dataframe_split": {"columns": ["age"], "data": [1]}}, "Row 1 has 1 cells, not 1."),
        ({"inputs": {"age": [1, 2], "plan": ["a"]}}, "different numbers of cells"),
        ({"instances": 3}, "instances is no list"),
        ({"instances": [YES], "params": {"temperature": 1}}, "params"),
        ({"instances": [YES], "params": 1}, "params"),
    ],
)
def test_what_mlflow_would_not_take_is_refused(rows: TestClient, body: object, said: str) -> None:
    answer = rows.post("/invocations", json=body)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("%%%", "Image 1 is no base64."),
        (base64.b64encode(b"text").decode(), "Image 1: not an image"),
        ([[1, 2], [3]], "Image 1 is neither base64 nor nested numbers"),
        ([[[1, 2, 3]]], "Image 1 has the shape (1, 1, 3), not (8, 8, 3)."),
        ([[[300, 0, 0]] * 8] * 8, "Image 1 has numbers beyond 0 … 255."),
        (None, "Image 1 is neither"),
        ([[["a", "b", "c"]] * 8] * 8, "Image 1 is neither"),
    ],
)
def test_what_is_no_image_is_refused(pictures: TestClient, value: object, said: str) -> None:
    answer = pictures.post("/invocations", json={"instances": [value]})
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]


def test_what_mlflow_answers_of_itself(rows: TestClient) -> None:
    assert (rows.get("/ping").status_code, rows.get("/ping").text) == (200, "\n")
    health, version = rows.get("/health").json(), rows.get("/version").json()
    assert health == {
        "status": "ok",
        "name": "churn",
        "version": version["version"],
        "model": "churn",
        "log": "off",
    }
    assert (version["run_id"], version["framework"]) == ("0123abcd", "sklearn 1.9")
