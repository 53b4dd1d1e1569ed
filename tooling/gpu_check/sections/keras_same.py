"""Whether Keras gives the same numbers: twice, after a checkpoint, and on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import mlflow
import numpy as np
from trainkit.keras import training
from trainkit.keras.checkpoints import Epoch
from trainkit.keras.training import Schedule

from gpu_check import keras_loops, keras_on_cpu, same_twice
from gpu_check.record import Finding, checked, no_card
from gpu_check.setting import Setting
from gpu_check.workloads import keras_projects, made_up

_MOST_APART = {"default precision": 1e-2, "float32": 1e-3}
_TIMES = ("seconds_epoch", "images_per_second", "input_busy")


def find(setting: Setting) -> Iterator[Finding]:
    """As `trainer run --deterministic` has it, with dropout, and with augmentation unless it is small."""
    size, batch, count = (16, 8, 16) if setting.small else (96, 64, 1024)
    part = made_up.pictures(setting.place, count, size)
    samples = training.samples(part)

    def epochs(count: int, phase: str) -> tuple[list[Epoch], keras.Model]:
        model_built = keras_projects.model(setting.project, size, "float32", augment=not setting.small)
        schedule = Schedule(count, batch, patience=0, seed=0, phase=phase)
        history = keras_projects.fit(model_built, (samples, samples), schedule)
        timeless = [
            {name: value for name, value in epoch.items() if name not in _TIMES} for epoch in history.epochs
        ]
        return timeless, model_built

    with mlflow.start_run():
        training.setup(0)
        by = keras_loops.by()
        model = yield from same_twice.findings(epochs, by)
        answers = {}
        for name in _MOST_APART:
            keras_loops.of_process().use_precision(name)
            answers[name] = training.predict(model, part, batch)
    folder = setting.place / "model.keras"
    model.save(folder)
    on_cpu = keras_on_cpu.answers(folder, part.pixels())
    for name, most in _MOST_APART.items():
        apart = float(np.abs(on_cpu - answers[name]).max())
        what = f"largest difference of a probability of the saved model on a CPU from {name}"
        yield Finding(what, apart, by=by)
        label = f"trained on the GPU, predicts on the CPU as on the GPU in {name} within {most:g}"
        yield checked(label, apart <= most, by=by) if setting.card else no_card(label, by)
