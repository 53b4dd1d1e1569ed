"""Training Keras models: the device, batches, epochs that report to MLflow, predictions, the logged model."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions, version

from trainkit import keras_settings  # noqa: F401 (before keras)

# isort: split
import keras
import mlflow
import numpy as np
import tensorflow as tf
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from trainkit import accelerator, image_data, keras_checkpoints, threads
from trainkit.classification import log_results
from trainkit.errors import InputError
from trainkit.image_data import ImageData, Part
from trainkit.image_folder import TRAIN
from trainkit.keras_checkpoints import Epoch, History
from trainkit.seeding import is_deterministic

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
}


@dataclass(frozen=True)
class Samples:
    """What a model is trained on or judged by.

    `inputs` gives the rows at some positions. `labels`, (n,), are numbers of classes. `weights`, (classes,),
    is how much a sample of each class counts in the loss; None is for all the same.
    """

    inputs: Callable[[NDArray[np.int64]], NDArray[np.generic]]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Schedule:
    """How one phase is trained: at most `epochs`, the first being number `first` of the run.

    It ends earlier when `patience` epochs in a row brought no lower validation loss; 0 is for never.
    """

    epochs: int
    batch_size: int
    patience: int
    seed: int
    phase: str = "training"
    first: int = 1


def setup(seed: int, mixed_precision: str = "no") -> None:
    """Seed everything, take the GPUs this run was given, set the precision; before any model is made.

    In a deterministic run TensorFlow raises at an operation that does not give the same numbers twice. What
    else decides the last bits of the results becomes tags of the active MLflow run. Raises `InputError`
    where TensorFlow does not see the GPUs that were asked for, and for mixed precision without a GPU.
    """
    gpus = tf.config.list_physical_devices("GPU")
    accelerator.require_gpus("TensorFlow", len(gpus))
    if gpus and os.environ.get("TRAINER_GPUS") == "none":
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    if mixed_precision == "yes" and not gpus:
        raise InputError(
            "Mixed precision needs a GPU: on a CPU it is several times slower than without.",
            "Pass --mixed-precision no, or run it with --gpus.",
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.config.set_dtype_policy("mixed_float16" if mixed_precision == "yes" else "float32")
    keras.utils.set_random_seed(seed)
    if is_deterministic():
        tf.config.experimental.enable_op_determinism()
    mlflow.set_tags(
        {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "device": ", ".join(tf.config.experimental.get_device_details(gpu)["device_name"] for gpu in gpus)
            or "CPU",
            "threads": threads.of_tensorflow(),
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        }
    )


def compile_model(model: keras.Model, optimizer: str, learning_rate: float) -> None:
    """Make a classifier of integer labels ready to be trained; again after its layers were unfrozen."""
    model.compile(
        optimizer=OPTIMIZERS[optimizer](learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # Keras's own choice is up to eleven times slower on a CPU
    )


def class_weights(data: ImageData, wanted: str) -> NDArray[np.float64] | None:
    """With `yes`, weights for `Samples` that let all classes count the same."""
    return image_data.class_weights(data.train, len(data.class_names)) if wanted == "yes" else None


def samples(part: Part, weights: NDArray[np.float64] | None = None) -> Samples:
    """The pixels and labels of a part."""
    return Samples(part.pixels, part.labels, weights)


def train(model: keras.Model, training: Samples, validation: Samples, schedule: Schedule) -> History:
    """Train a compiled model, and leave it with the weights of its best epoch.

    Each epoch is a line of the log, a step of the active MLflow run's metrics, and a checkpoint: the same run
    started again goes on after the last whole epoch, and ends with the same numbers to the last bit. Raises
    `InputError` if the loss is no longer a number.
    """
    kept = keras_checkpoints.of_run(mlflow.active_run().info.run_id, schedule.phase)
    history = kept.read(schedule.first)
    if history.epochs:
        print(f"{schedule.phase}: going on after epoch {history.last}, from a checkpoint", flush=True)
        kept.restore(model, history.last)
        # It may have been killed after it was kept and before it was logged.
        mlflow.log_metrics(history.epochs[-1], step=history.last, timestamp=kept.saved_ms())
    while len(history.epochs) < schedule.epochs and not history.stalled(schedule.patience):
        epoch = history.last + 1
        values = _one_epoch(model, training, validation, schedule, epoch)
        history.epochs.append(values)
        kept.save(model, history)
        mlflow.log_metrics(values, step=epoch, timestamp=kept.saved_ms())
        _print(values, epoch, schedule)
    if history.stalled(schedule.patience):
        print(f"stopped: no lower val_loss since epoch {history.best}", flush=True)
    if history.best != history.last:
        kept.restore(model, history.best)
    return history


def predict(model: keras.Model, part: Part, batch_size: int) -> NDArray[np.float32]:
    """The probabilities of all classes, (n, classes), for all images of a part."""
    batches = _Batches(samples(part), batch_size)
    return np.asarray(model.predict(batches.dataset(np.arange(len(part))), verbose=0))


def evaluate(model: keras.Model, data: ImageData, batch_size: int) -> dict[str, float]:
    """Log the results on every part but the training's; return the metrics of all of them."""
    found: dict[str, float] = {}
    for split, part in data.parts.items():
        if split != TRAIN:
            probabilities = predict(model, part, batch_size)
            found |= log_results(part.labels, probabilities, data.class_names, split=split, part=part)
    return found


def log_model(model: keras.Model, data: ImageData) -> None:
    """Log the model to the active MLflow run, and remove the run's checkpoints.

    It takes pixels of 0 … 255, (n, size, size, 3), uint8, and answers with probabilities; the classes' names,
    in the order of its answers, are in its metadata.
    """
    shape = (-1, data.size, data.size, 3)
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype("uint8"), shape, "pixels")]),
        Schema([TensorSpec(np.dtype("float32"), (-1, len(data.class_names)), "probabilities")]),
    )
    # tensorflow-cpu is the same for who loads the model, and only one of the two is installed.
    installed = {found.name.replace("_", "-") for found in distributions()}
    names = ["tensorflow" if "tensorflow" in installed else "tensorflow-cpu", "keras", "numpy"]
    mlflow.tensorflow.log_model(
        model,
        name="model",
        signature=signature,
        # Given, because working them out takes MLflow half a minute.
        pip_requirements=[f"{name}=={version(name)}" for name in names],
        metadata={"class_names": list(data.class_names)},
    )
    keras_checkpoints.remove(mlflow.active_run().info.run_id)


class _Batches:
    """Samples as datasets of (inputs, labels, weights), made a few batches ahead in a thread of TensorFlow's.

    `seconds` counts the time that making them took.
    """

    def __init__(self, samples: Samples, size: int) -> None:
        self._samples = samples
        self._size = size
        row = samples.inputs(np.arange(1))
        self._signature = (
            tf.TensorSpec((None, *row.shape[1:]), row.dtype),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
        )
        self.seconds = 0.0

    def dataset(self, order: NDArray[np.int64]) -> tf.data.Dataset:
        """The samples at these positions, once."""
        count = -(-len(order) // self._size)
        made = tf.data.Dataset.from_generator(lambda: self._make(order), output_signature=self._signature)
        return made.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)

    def _make(
        self, order: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.generic], NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(order), self._size):
            began = time.perf_counter()
            positions = order[start : start + self._size]
            labels = self._samples.labels[positions]
            weights = np.ones(len(labels)) if self._samples.weights is None else self._samples.weights[labels]
            batch = self._samples.inputs(positions), labels, weights.astype(np.float32)
            self.seconds += time.perf_counter() - began
            yield batch


def _one_epoch(
    model: keras.Model, training: Samples, validation: Samples, schedule: Schedule, epoch: int
) -> Epoch:
    # Seeded by the number of the epoch, so that it is the same after a restart.
    order = np.random.default_rng([schedule.seed, epoch]).permutation(len(training.labels))
    _seed_layers(model, schedule.seed, epoch)
    batches = _Batches(training, schedule.batch_size)
    start = time.perf_counter()
    learnt = model.fit(batches.dataset(order), verbose=0, shuffle=False).history
    trained = time.perf_counter()
    judged = model.evaluate(
        _Batches(validation, schedule.batch_size).dataset(np.arange(len(validation.labels))),
        verbose=0,
        return_dict=True,
    )
    values = {
        **{name: float(value[-1]) for name, value in learnt.items()},
        **{f"val_{name}": float(value) for name, value in judged.items()},
        "learning_rate": float(model.optimizer.learning_rate),
        "seconds_epoch": time.perf_counter() - start,
        "images_per_second": len(order) / (trained - start),
        "input_busy": batches.seconds / (trained - start),
    }
    if not np.isfinite([values["loss"], values["val_loss"]]).all():
        raise InputError(
            f"The loss is {values['loss']} after epoch {epoch}: the training has diverged.",
            f"Try a learning rate below {values['learning_rate']:g}.",
        )
    return values


def _seed_layers(model: keras.Model, seed: int, epoch: int) -> None:
    """Dropout and augmentation draw the same numbers in this epoch, whatever was drawn before."""
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for position, state in enumerate(states):
        words = np.random.SeedSequence([seed, epoch, position]).generate_state(2)
        state.assign(words.astype(state.dtype))


def _print(values: Epoch, epoch: int, schedule: Schedule) -> None:
    shown = ("loss", "accuracy", "val_loss", "val_accuracy")
    numbers = "  ".join(f"{name} {values[name]:.3f}" for name in shown)
    last = schedule.first + schedule.epochs - 1
    print(f"epoch {epoch}/{last}  {numbers}  {values['seconds_epoch']:.1f} s", flush=True)
