"""The page's files, and what it is told of the model. That it works is tested in a browser: tests/docker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from model_server import app
from model_server.routes import page
from starlette.testclient import TestClient
from trainkit.inference.predictor import Predictor

from unit.model_server.served import churn, client, price

TOKEN = "0123456789abcdef-token"
FILES = [route.path for route in page.files()]


def test_the_page_brings_all_that_it_takes_and_nothing_runs_in_it_but_its_files(rows: TestClient) -> None:
    index = rows.get("/")
    assert index.headers["Content-Type"] == "text/html; charset=utf-8"
    wanted = set(re.findall(r'(?:href|src)="([^"]+)"', index.text))
    for path in FILES:
        answer = rows.get(path)
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'; img-src 'self' blob: data:" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", answer.text), path
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?! type=\"module\" src)", answer.text), path
        if path.endswith(".js"):
            assert answer.headers["Content-Type"].startswith("text/javascript")
            wanted |= {f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', answer.text)}
    assert {f"/{path}" for path in wanted} == set(FILES) - {"/"}


def test_a_token_keeps_the_model_and_not_the_page(tmp_path: Path) -> None:
    with client(churn(tmp_path / "secret-name.onnx"), token=TOKEN) as opened:
        for path in FILES:
            answer = opened.get(path)
            assert answer.status_code == 200
            assert "secret-name" not in answer.text
        assert opened.get("/model").status_code == 401
        assert opened.post("/explain", json={}).status_code == 401
        assert opened.get("/page/../model").status_code == 401
        assert (
            opened.get("/model", headers={"Authorization": f"Bearer {TOKEN}"}).json()["name"] == "secret-name"
        )


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/model"])
def test_by_a_name_that_is_not_its_own_it_has_no_page(tmp_path: Path, path: str) -> None:
    served = app.make("churn", Predictor.open(churn(tmp_path / "churn.onnx")), hosts=("127.0.0.1",))
    with TestClient(served) as opened:
        assert opened.get(path, headers={"Host": "evil.example"}).status_code == 403
        assert opened.get(path, headers={"Host": "127.0.0.1:80"}).status_code == 200


def test_it_is_told_what_a_row_has_and_one_to_begin_with(rows: TestClient) -> None:
    model = rows.get("/model").json()
    assert (model["name"], model["run_id"], model["classes"]) == ("churn", "0123abcd", ["yes", "no"])
    assert model["model"] == "churn"
    assert model["input"] == {
        "kind": "table",
        "columns": [
            {"kind": "number", "name": "age"},
            {"kind": "category", "name": "plan", "values": ["a", "b"]},
        ],
        "example": {"age": 0, "plan": "a"},
    }
    assert rows.post("/predict", json=model["input"]["example"]).status_code == 200


def test_it_is_told_what_an_image_is(pictures: TestClient) -> None:
    model = pictures.get("/model").json()
    assert model["input"] == {"kind": "images", "size": 8}
    assert model["classes"] == ["blue", "green", "red"]


def test_of_a_regression_it_is_told_what_is_predicted(tmp_path: Path) -> None:
    with client(price(tmp_path / "price.onnx")) as opened:
        model = opened.get("/model").json()
    assert (model["task"], model["target"], model["classes"]) == ("regression", "price", [])


def test_its_files_are_counted_as_one(rows: TestClient) -> None:
    for path in FILES:
        rows.get(path)
    lines = rows.get("/metrics").text.splitlines()
    assert 'model_requests_total{route="/",status="200"} 1.0' in lines
    assert f'model_requests_total{{route="other",status="200"}} {len(FILES) - 1}.0' in lines


def test_a_wrong_cell_is_said_with_its_place(rows: TestClient) -> None:
    answer = rows.post("/predict", json=[{"age": 1, "plan": "a"}, {"age": "old", "plan": "a"}]).json()
    assert (answer["row"], answer["column"]) == (2, "age")
