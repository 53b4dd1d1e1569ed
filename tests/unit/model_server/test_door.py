"""Who is let in, and what Prometheus is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_server import app
from starlette.testclient import TestClient
from trainkit.inference.predictor import Predictor

from unit.model_server.served import NO, YES, churn, client

TOKEN = "0123456789abcdef-token"


def test_without_the_token_nothing_but_health_is_answered(tmp_path: Path) -> None:
    with client(churn(tmp_path / "churn.onnx"), token=TOKEN) as opened:
        for headers in ({}, {"Authorization": "Bearer 0123456789abcdef"}, {"Authorization": TOKEN}):
            for path in ("/predict", "/invocations", "/v2/models/churn/infer"):
                answer = opened.post(path, json=YES, headers=headers)
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
                assert TOKEN not in answer.text
            assert opened.get("/metrics", headers=headers).status_code == 401
        for path in ("/ping", "/health", "/v2/health/live", "/v2/health/ready"):
            assert opened.get(path).status_code == 200
        let_in = {"Authorization": f"Bearer {TOKEN}"}
        assert opened.post("/predict", json=YES, headers=let_in).status_code == 200
        assert opened.get("/metrics", headers=let_in).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8080", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 403), ("", 403)],
)
def test_a_page_in_a_browser_cannot_call_it_by_a_name_of_its_own(
    tmp_path: Path, host: str, status: int
) -> None:
    served = app.make(
        "churn", Predictor.open(churn(tmp_path / "churn.onnx")), hosts=("localhost", "127.0.0.1", "[::1]")
    )
    with TestClient(served) as opened:
        answer = opened.post("/predict", json=YES, headers={"Host": host})
    assert answer.status_code == status


def test_the_figures_count_requests_classes_and_batches(tmp_path: Path) -> None:
    with client(churn(tmp_path / "churn.onnx")) as opened:
        opened.post("/predict", json=[YES, YES, NO])
        opened.post("/predict", json=[{}])
        opened.get("/some/path/of/somebody")
        lines = opened.get("/metrics").text.splitlines()
    assert 'model_requests_total{route="/predict",status="200"} 1.0' in lines
    assert 'model_requests_total{route="/predict",status="400"} 1.0' in lines
    assert 'model_requests_total{route="other",status="404"} 1.0' in lines
    assert 'model_predictions_total{class="yes"} 2.0' in lines
    assert 'model_predictions_total{class="no"} 1.0' in lines
    assert 'model_batch_size_bucket{le="4.0"} 2.0' in lines
    assert 'model_request_seconds_count{route="/predict"} 2.0' in lines
    assert "model_requests_waiting 0.0" in lines
    [info] = [line for line in lines if line.startswith("model_info{")]
    assert 'name="churn"' in info
