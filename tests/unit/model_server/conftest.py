"""Servers of a model, asked in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from unit.model_server.served import churn, client, colours


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[TestClient]:
    with client(churn(tmp_path / "churn.onnx")) as opened:
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[TestClient]:
    with client(colours(tmp_path / "colours.onnx")) as opened:
        yield opened
