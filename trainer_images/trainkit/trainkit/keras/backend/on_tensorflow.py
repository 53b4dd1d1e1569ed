"""Keras on TensorFlow."""

import os
from importlib.metadata import distributions

import mlflow
import tensorflow as tf

from trainkit import accelerator, run_environment, threads
from trainkit.keras.backend import Batches

FRAMEWORK = "TensorFlow"
JIT_COMPILE = False  # Keras's own choice is up to eleven times slower on a CPU

log_model = mlflow.tensorflow.log_model


def version() -> str:
    return str(tf.__version__)


def distribution() -> str:
    # tensorflow-cpu is the same for who loads the model, and only one of the two is installed.
    installed = {package.name.replace("_", "-") for package in distributions()}
    return "tensorflow" if "tensorflow" in installed else "tensorflow-cpu"


def take_gpus() -> list[str]:
    gpus = tf.config.list_physical_devices("GPU")
    accelerator.require_gpus(FRAMEWORK, len(gpus))
    if gpus and os.environ.get(run_environment.GPUS) == "none":
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return [str(tf.config.experimental.get_device_details(gpu)["device_name"]) for gpu in gpus]


def has_gpu() -> bool:
    return bool(tf.config.get_visible_devices("GPU"))


def make_deterministic() -> None:
    tf.config.experimental.enable_op_determinism()


def seed(seed: int) -> None:
    """Nothing: all layers draw from their states."""


def tags() -> dict[str, str]:
    return {
        "threads": str(threads.of_tensorflow()),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def dataset(batches: Batches) -> tf.data.Dataset:
    signature = (
        tf.TensorSpec((None, *batches.sample.shape), batches.sample.dtype),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((None,), tf.float32),
    )
    made = tf.data.Dataset.from_generator(
        lambda: map(batches.make, range(batches.count)), output_signature=signature
    )
    return made.apply(tf.data.experimental.assert_cardinality(batches.count)).prefetch(2)
