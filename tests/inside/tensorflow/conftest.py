"""What the tests of this folder share: an MLflow run without a server, and small image folders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run
from mlflow.store.tracking.file_store import FileStore
from PIL import Image
from trainkit.data import image_data
from trainkit.data.image_data import ImageData

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40), "yellow": (200, 190, 40)}
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
def draw() -> Callable[..., Path]:
    """`draw(root)`, for instance `draw(root, classes=3, images=20, size=48)`, makes an image folder."""
    return _draw


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data/ and cache/, which the run uses, and where MLflow keeps its files."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "mlruns"))
    monkeypatch.setenv("TRAINER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TRAINER_GPUS", raising=False)
    return tmp_path


@pytest.fixture
def run(places: Path) -> Iterator[Run]:  # noqa: ARG001
    """The active run."""
    with mlflow.start_run() as run:
        yield run


@pytest.fixture
def data(places: Path, draw: Callable[..., Path]) -> ImageData:
    """48 pictures for training and 12 for validation, 32 pixels square, of three classes."""
    folder = draw(places / "data" / "colours", classes=3)
    return image_data.load(folder, 32, 0.2, 0, places / "cache")


def _draw(root: Path, classes: int = 4, images: int = 20, size: int = 48) -> Path:
    """An image folder whose classes differ in the colour of a square on noise."""
    random = np.random.default_rng(0)
    for name, colour in list(COLOURS.items())[:classes]:
        (root / name).mkdir(parents=True)
        for number in range(images):
            picture = random.integers(60, 160, (size, size, 3), dtype=np.uint8)
            top, left = random.integers(0, size // 2, 2)
            picture[top : top + size // 2, left : left + size // 2] = colour
            Image.fromarray(picture).save(root / name / f"{number:02}.png")
    return root
