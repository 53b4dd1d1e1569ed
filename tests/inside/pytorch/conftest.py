"""Small data, and runs of the project on it."""

from __future__ import annotations

import os
import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import mlflow
import numpy as np
import pytest
import torch
import yaml
from mlflow.entities import Run
from mlflow.store.tracking.file_store import FileStore
from PIL import Image

# What is computed here is too small to share; threads would wait for each other on a busy machine.
torch.set_num_threads(1)
P = ParamSpec("P")
R = TypeVar("R")


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's store in files cannot read a metric while a thread writes it, as system_metrics does."""
    lock = threading.RLock()
    for name in ("log_batch", "get_run"):
        monkeypatch.setattr(FileStore, name, _locked(getattr(FileStore, name), lock))


def _locked(method: Callable[P, R], lock: threading.RLock) -> Callable[P, R]:
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with lock:
            return method(*args, **kwargs)

    return call


@pytest.fixture
def project() -> Path:
    """The folder of the project; in the image it is mounted."""
    return Path(os.environ.get("TRAIN_CODE", "/train_code")) / "pytorch_layers"


@pytest.fixture
def arguments(project: Path) -> Callable[..., list[str]]:
    """The command line of train.py with the MLproject's defaults, some of them changed."""

    def line(**options: object) -> list[str]:
        main = yaml.safe_load((project / "MLproject").read_text())["entry_points"]["main"]
        values = {name: declared["default"] for name, declared in main["parameters"].items()}
        assert options.keys() <= values.keys()
        values |= options
        values["layers"] = project / values["layers"]
        return [
            word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))
        ]

    return line


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of datasets. In it, `pictures` has two classes: noise that is bright, and dark noise."""
    folder = tmp_path / "data"
    random = np.random.default_rng(0)
    for name, low, high in (("bright", 120, 256), ("dark", 0, 120)):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(low, high, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number}.png")
    monkeypatch.setenv("TRAINER_DATA_DIR", str(folder))
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tracking store in files; this image has no server."""
    uri = f"file://{tmp_path}/runs"
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    yield uri
    while mlflow.active_run():
        mlflow.end_run("FAILED")


@pytest.fixture
def run_project(
    project: Path,
    arguments: Callable[..., list[str]],
    data: Path,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Run]:
    """Run train.py in this process with these options."""
    assert data
    assert store

    def run(**options: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments(**options)])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        runpy.run_path(str(project / "train.py"), run_name="__main__")
        return mlflow.get_run(mlflow.last_active_run().info.run_id)

    return run
