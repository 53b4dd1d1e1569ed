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
from numpy.typing import NDArray
from trainkit.data.image_data import Part
from trainkit.keras import training
from trainkit.keras.training import Samples, Schedule

from gpu_check import float32_errors, keras_loops
from gpu_check.keras_loops import Batch
from gpu_check.rates import DEFAULT, FED, HELD, ON_DEVICE, OURS, Variant, Work, compare
from gpu_check.record import Finding, no_card
from gpu_check.setting import Setting
from gpu_check.workloads import keras_projects, made_up


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
        yield from float32_errors.find(_product, _convolution, by)
        yield from _rates(setting, sizes, part, by)
    if setting.card:
        highest = keras_loops.of_process().highest_memory()
        yield Finding("highest memory that the framework had", highest, "MB", by=by)
    else:
        for label in ("TF32", "float16"):
            yield no_card(f"trainkit, {label}", by)


def _product(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.matmul(first, second)))


def _convolution(pixels: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.conv(pixels, kernel, padding="valid")))


def _rates(setting: Setting, sizes: _Sizes, part: Part, by: str) -> Iterator[Finding]:
    default = "TF32" if setting.card else "float32"
    fed, held = _plain(setting, sizes, part, DEFAULT)
    input_busy: list[float] = []
    variants = {
        OURS: Variant(_ours(setting, sizes, part, DEFAULT, input_busy), default),
        FED: Variant(fed, default),
        HELD: Variant(held, default),
    }
    if setting.card:
        for precision in ("float16", "bfloat16", "TF32", "float32"):
            variants[f"trainkit, {precision}"] = Variant(
                _ours(setting, sizes, part, precision, []), precision
            )
    fed, held = _plain(setting, sizes, part, "bfloat16")
    variants["plain loop, bfloat16"] = Variant(fed, "bfloat16")
    if setting.card:
        variants[f"plain loop, bfloat16{ON_DEVICE}"] = Variant(held, "bfloat16")
    loops = keras_loops.of_process()
    counted = loops.operations(
        keras_projects.model(setting.project, sizes.pixels, "float32"), next(_batches(part, sizes))
    )
    work = Work(counted / sizes.batch, loops.COUNTED, loops.peak, loops.memory)
    yield from compare(variants, work, setting, by)
    if input_busy:
        explanation = "share of the time; the metric input_busy of a run"
        yield Finding(f"{OURS}: input is prepared", 100 * input_busy[-1], "%", by=by, said=explanation)


def _ours(
    setting: Setting, sizes: _Sizes, part: Part, precision: str, input_busy: list[float]
) -> Callable[[], float]:
    """An epoch as the project has it; how fast it was is what the project logs, and `input_busy`, too."""
    model = keras_projects.model(setting.project, sizes.pixels, precision)
    few = Samples(part.pixels, part.labels[:2])  # so that judging an epoch takes no time
    numbers = itertools.count()

    def epoch() -> float:
        keras_loops.of_process().use_precision(precision)
        phase = f"{precision}-{next(numbers)}"
        schedule = Schedule(1, sizes.batch, patience=0, seed=0, phase=phase)
        history = keras_projects.fit(model, (training.samples(part), few), schedule)
        input_busy.append(history.epochs[-1]["input_busy"])
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
