"""What a training step waits for data; on a GPU, what mixed precision and XLA bring.

    docker run --rm -v "$PWD/tooling/bench/inside:/bench:ro" -v "$PWD/train_code:/train_code:ro" \
        trainer/tensorflow python /bench/training_step.py

training.py runs it in an image. Prints JSON: the seconds of an epoch of each round. On a GPU also the seconds
that they would take at the rate of a large matrix product, which is what the card reaches and not what its
data sheet says.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import click
import mlflow
import numpy as np
from numpy.typing import NDArray
from trainkit.keras import checkpoints, models
from trainkit.keras import training as keras_training

# isort: split
import keras
import tensorflow as tf

MATRIX = 8192
# In the image both folders stand at the root, where ".." leads nowhere else.
TRAIN_PY = (Path(__file__).parent / "../../../train_code/inceptionv3/train.py").resolve()


@click.command(help=__doc__)
@click.option("--images", default=96, show_default=True)
@click.option("--size", default=150, show_default=True, help="Pixels square.")
@click.option("--batch-size", default=16, show_default=True)
@click.option("--backbone", default="inceptionv3", show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(images: int, size: int, batch_size: int, backbone: str, rounds: int) -> None:
    """Print the figures."""
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri("file:/tmp/mlruns")
    with mlflow.start_run() as run:
        keras_training.setup(0)
        pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), dtype=np.uint8)
        with tempfile.TemporaryFile() as file:
            np.save(file, pixels)
            mapped = np.memmap(file, np.uint8, "r", file.tell() - pixels.nbytes, pixels.shape)
        gpus = tf.config.list_physical_devices("GPU")
        model = _compiled(backbone, size, jit=False)
        held = _held(pixels[:batch_size], images // batch_size)
        busy: list[float] = []
        variants: dict[str, Callable[[], float]] = {
            "input_projects": _as_projects_do(model, mapped, batch_size, busy),
            "input_held": lambda: _epoch(model, held),
        }
        if gpus:
            keras.config.set_dtype_policy("mixed_float16")
            fast = _compiled(backbone, size, jit=True)
            variants["gpu_fast"] = lambda: _epoch(fast, held)
        taken: dict[str, list[float]] = {variant: [] for variant in variants}
        for number in range(-1, rounds):
            for variant, epoch in variants.items():
                seconds = epoch()
                click.echo(f"{variant}: {images / seconds:.1f} images a second", err=True)
                if number >= 0:
                    taken[variant].append(seconds)
        checkpoints.remove(run.info.run_id)
    payload: dict[str, object] = {"seconds": taken, "input_busy": busy[1:]}
    if gpus:
        operations = 3 * _operations(model, size) * (images // batch_size) * batch_size
        payload["gpu"] = tf.config.experimental.get_device_details(gpus[0])["device_name"]
        payload["seconds_at_peak"] = {
            "input_held": operations / _peak(tf.float32), "gpu_fast": operations / _peak(tf.float16)
        }  # fmt: skip
    click.echo(f"\n{json.dumps(payload)}")


def _compiled(backbone: str, size: int, *, jit: bool) -> keras.Model:
    """A classifier of which everything is trained."""
    base = models.pretrained(backbone, size, "none", 0)
    base.trainable = True
    project = run_path(str(TRAIN_PY))
    model: keras.Model = project["build_model"](base, 4, 0.2, augment=False)
    project["compile_model"](model, "adam", 0.001)
    if jit:
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=True)
    return model


def _as_projects_do(
    model: keras.Model, pixels: NDArray[np.uint8], size: int, busy: list[float]
) -> Callable[[], float]:
    """An epoch as in train_code/: rows of an array mapped from a file. What making them took: `busy`."""
    numbers = itertools.count()
    labels = np.arange(len(pixels)) % 4
    training = keras_training.Samples(lambda positions: np.asarray(pixels[positions]), labels)
    judging = keras_training.Samples(training.inputs, labels[:1])
    fit = run_path(str(TRAIN_PY))["fit"]

    def epoch() -> float:
        schedule = keras_training.Schedule(1, size, 0, 0, phase=f"round{next(numbers)}")
        (values,) = fit(model, (training, judging), schedule).epochs
        busy.append(values["input_busy"])
        return float(len(labels) / values["images_per_second"])

    return epoch


def _held(pixels: NDArray[np.uint8], count: int) -> tf.data.Dataset:
    """The same batch again and again: there is nothing to wait for."""
    labels = tf.constant(np.arange(len(pixels)) % 4)
    return tf.data.Dataset.from_tensors((tf.constant(pixels), labels, tf.ones(len(pixels)))).repeat(count)


def _epoch(model: keras.Model, data: tf.data.Dataset) -> float:
    begun = time.perf_counter()
    model.fit(data, verbose=0, shuffle=False)
    return time.perf_counter() - begun


def _operations(model: keras.Model, size: int) -> float:
    """Floating point operations of one image, forwards; training takes some three times as many."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    image = tf.TensorSpec((1, size, size, 3), tf.uint8)
    graph = convert_variables_to_constants_v2(tf.function(model).get_concrete_function(image)).graph
    counted = tf.compat.v1.profiler.profile(
        graph, options=tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    )
    return float(counted.total_float_ops)


def _peak(kind: tf.DType) -> float:
    """Operations a second of a large matrix product."""
    matrix = (
        tf.random.normal((MATRIX, MATRIX))
        if kind == tf.float32
        else tf.cast(tf.random.normal((MATRIX, MATRIX)), kind)
    )
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    product().numpy()
    begun = time.perf_counter()
    for _ in range(20):
        result = product()
    result.numpy()
    return 20 * 2 * MATRIX**3 / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
