"""How soon trials with TensorFlow log a metric: forked, and in containers of their own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from bench.ratios import REPOSITORY
from bench.sweeping.projects import output
from bench.workspaces import BIN, BenchWorkspace, environment
from mlflow import MlflowClient
from PIL import Image

PROJECT = "tensorflow"
JUDGED_BY = "val_accuracy"
_CLASSES, _IMAGES, _PIXELS = 3, 12, 48


@dataclass(frozen=True)
class FirstMetrics:
    """Seconds from the start of a run to its first metric, and to the one that a sweep judges it by."""

    any_: float
    judged: float


def make(place: BenchWorkspace) -> None:
    """The project of the repository, and images for it that take no time to learn."""
    shutil.copytree(REPOSITORY / "train_code" / PROJECT, place.root / "train_code" / PROJECT)
    for class_ in range(_CLASSES):
        folder = place.root / "data" / "plain" / f"class_{class_}"
        folder.mkdir(parents=True)
        for number in range(_IMAGES):
            colour = (80 * class_ + number, 100, 50)
            Image.new("RGB", (_PIXELS, _PIXELS), colour).save(folder / f"{number}.png")
    place.commit()
    place.trainer("build-image", PROJECT)


def of_sweep(place: BenchWorkspace, trials: int, *, warm: bool) -> Iterator[FirstMetrics]:
    """Of each trial but the first, which waits for the imports of the interpreter that stays."""
    swept = output(
        [BIN / "trainer", "sweep", PROJECT, "--new", "--search", "learning_rate=loguniform:1e-4,1e-2",
         "--sampler", "random", "--trials", str(trials), "--metric", f"{JUDGED_BY}:maximize",
         "--warm" if warm else "--no-warm", "--json", "--data", "plain", "--epochs", "1",
         "--image-size", str(_PIXELS)],
        place.root, environment(),
    )  # fmt: skip
    os.environ.update(place.access)
    client = MlflowClient()
    for trial in json.loads(swept)["trials"][1:]:
        run = client.get_run(trial["run_ids"][0])
        id_, started = run.info.run_id, run.info.start_time
        at = {
            name: (client.get_metric_history(id_, name)[0].timestamp - started) / 1000
            for name in run.data.metrics
        }
        yield FirstMetrics(min(at.values()), at[JUDGED_BY])
