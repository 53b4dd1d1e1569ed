"""What the tests of this folder share: an MLflow run without a server, and small image folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run
from PIL import Image
from trainkit import image_data
from trainkit.image_data import ImageData

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40), "yellow": (200, 190, 40)}


def draw(root: Path, classes: int = 4, images: int = 20, size: int = 48) -> Path:
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


@dataclass(frozen=True)
class Finished:
    """A run that has ended, with the steps of its metrics and its artifacts."""

    run: Run

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each."""
        return dict(self.run.data.metrics)

    def history(self, name: str) -> dict[int, float]:
        """Step → value."""
        client = mlflow.MlflowClient()
        return {point.step: point.value for point in client.get_metric_history(self.run.info.run_id, name)}

    def artifacts(self) -> set[str]:
        """Their paths."""
        return {file.path for file in mlflow.MlflowClient().list_artifacts(self.run.info.run_id)}

    def text(self, name: str) -> str:
        """One of them."""
        return str(mlflow.artifacts.load_text(f"{self.run.info.artifact_uri}/{name}"))


@pytest.fixture
def last(places: Path) -> Callable[[], Finished]:  # noqa: ARG001
    """Gives the run that ended last."""
    return lambda: Finished(mlflow.get_run(mlflow.last_active_run().info.run_id))


@pytest.fixture
def data(places: Path) -> ImageData:
    """48 pictures for training and 12 for validation, 32 pixels square, of three classes."""
    folder = draw(places / "data" / "colours", classes=3)
    return image_data.load(folder, 32, 0.2, 0, places / "cache")
