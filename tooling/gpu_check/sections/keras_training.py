"""How fast a Keras project trains, beside plain loops of the same model."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import mlflow
import numpy as np
from trainkit.data.image_data import Part
from trainkit.keras import training
from trainkit.keras.training import Samples, Schedule

from gpu_check import keras_loops, keras_projects, made_up
from gpu_check.keras_loops import Batch
from gpu_check.rates import FED, HELD, OURS, Variant, Work, compare
from gpu_check.record import Finding, no_card
from gpu_check.setting import Setting


@dataclass(frozen=True)
class _Sizes:
    pictures: int
    pixels: int
    batch: int


_SIZES = {
    "tensorflow": _Sizes(8192, 96, 256),
    "inceptionv3": _Sizes(1024, 299, 64),
    "efficientnetb0": _Sizes(1024, 224, 64),
}
_SMALL = {
    "tensorflow": _Sizes(32, 16, 16),
    "inceptionv3": _Sizes(2, 75, 2),
    "efficientnetb0": _Sizes(4, 32, 4),
}


def find(setting: Setting) -> Iterator[Finding]:
    """Of all precisions, on the backend of this process."""
    sizes = (_SMALL if setting.small else _SIZES)[setting.project]
    by = keras_loops.by()
    with mlflow.start_run():
        training.setup(0)
        part = made_up.pictures(setting.place, sizes.pictures, sizes.pixels)
        yield Finding(
            "data",
            f"{sizes.pictures} images, {sizes.pixels} x {sizes.pixels} pixels, batches of {sizes.batch}",
            by=by,
        )
        explanation = "float32 stays below 1e-5; above 1e-4 it was computed in TF32"
        yield Finding(
            "relative error of a float32 matrix product in a run", _error(), by=by, said=explanation
        )
        yield from _rates(setting, sizes, part, by)
    if setting.card:
        highest = keras_loops.of_process().highest_memory()
        yield Finding("highest memory that the framework had", highest, "MB", by=by)
    else:
        for label in ("TF32", "float16"):
            yield no_card(f"trainkit, {label}", by)


def _error() -> float:
    """The largest one, as a part of the largest number."""
    matrix = np.random.default_rng(0).standard_normal((256, 256), np.float32)
    exact = matrix.astype(np.float64) @ matrix.astype(np.float64)
    product = keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix))
    return float(np.abs(product - exact).max() / np.abs(exact).max())


def _rates(setting: Setting, sizes: _Sizes, part: Part, by: str) -> Iterator[Finding]:
    fed, held = _plain(setting, sizes, part, "float32")
    variants = {
        OURS: Variant(_ours(setting, sizes, part, "float32"), "float32"),
        FED: Variant(fed, "float32"),
        HELD: Variant(held, "float32"),
    }
    if setting.card:
        for precision in ("float16", "TF32", "bfloat16"):
            variants[f"trainkit, {precision}"] = Variant(_ours(setting, sizes, part, precision), precision)
    variants["plain loop, bfloat16"] = Variant(_plain(setting, sizes, part, "bfloat16")[0], "bfloat16")
    loops = keras_loops.of_process()
    counted = loops.operations(
        keras_projects.model(setting.project, sizes.pixels, "float32"), next(_batches(part, sizes))
    )
    yield from compare(variants, Work(counted / sizes.batch, loops.COUNTED, loops.peak), setting, by)


def _ours(setting: Setting, sizes: _Sizes, part: Part, precision: str) -> Callable[[], float]:
    """An epoch as the project has it; how fast it was is what the project logs."""
    model = keras_projects.model(setting.project, sizes.pixels, precision)
    few = Samples(part.pixels, part.labels[:2])  # so that judging an epoch takes no time
    numbers = itertools.count()

    def epoch() -> float:
        keras_loops.of_process().use_precision(precision)
        phase = f"{precision}-{next(numbers)}"
        schedule = Schedule(1, sizes.batch, patience=0, seed=0, phase=phase)
        history = training.train(model, training.samples(part), few, schedule)
        return history.epochs[-1]["images_per_second"]

    return epoch


def _plain(
    setting: Setting, sizes: _Sizes, part: Part, precision: str
) -> tuple[Callable[[], float], Callable[[], float]]:
    """Epochs of one model: of all batches, and of the first one, on the device already, as often."""
    loops = keras_loops.of_process()
    train = loops.plain(keras_projects.model(setting.project, sizes.pixels, precision))
    first = loops.placed(next(_batches(part, sizes)))

    def epoch(batches: Iterable[Batch]) -> float:
        loops.use_precision(precision)
        begun = time.perf_counter()
        train(batches)
        return sizes.pictures / (time.perf_counter() - begun)

    return lambda: epoch(_batches(part, sizes)), lambda: epoch(first for _ in _starts(sizes))


def _starts(sizes: _Sizes) -> range:
    return range(0, sizes.pictures, sizes.batch)


def _batches(part: Part, sizes: _Sizes) -> Iterator[Batch]:
    for start in _starts(sizes):
        positions = np.arange(start, start + sizes.batch)
        yield part.pixels(positions), part.labels[positions].astype(np.int32)
