"""Training Keras models: the device, batches, epochs that report to MLflow, predictions, the logged model."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from trainkit.classification import log_results
from trainkit.data import image_data
from trainkit.data.image_data import ImageData, Part
from trainkit.data.image_folder import TRAIN
from trainkit.errors import InputError
from trainkit.keras import backend as keras_backend
from trainkit.keras import checkpoints
from trainkit.keras.backend import Batch, Batches
from trainkit.keras.checkpoints import Epoch, History
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

    In a deterministic run the backend replaces or refuses operations that do not give the same numbers twice.
    Its name, its version, and what else decides the last bits of the results become tags of the active MLflow
    run. Raises `InputError` where it does not see the GPUs that were asked for, and for mixed precision
    without a GPU.
    """
    backend = keras_backend.of_process()
    gpus = backend.take_gpus()
    if mixed_precision == "yes" and not gpus:
        raise InputError(
            "Mixed precision needs a GPU: on a CPU it is several times slower than without.",
            "Pass --mixed-precision no, or run it with --gpus.",
        )
    keras.config.set_dtype_policy("mixed_float16" if mixed_precision == "yes" else "float32")
    keras.utils.set_random_seed(seed)
    if is_deterministic():
        backend.make_deterministic()
    mlflow.set_tags(
        {
            "keras": keras.__version__,
            "keras_backend": keras.backend.backend(),
            keras.backend.backend(): backend.version(),
            "device": ", ".join(gpus) or "CPU",
            **backend.tags(),
        }
    )


def compile_model(model: keras.Model, optimizer: str, learning_rate: float) -> None:
    """Make a classifier of integer labels ready to be trained; again after its layers were unfrozen."""
    model.compile(
        optimizer=OPTIMIZERS[optimizer](learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=keras_backend.of_process().JIT_COMPILE,
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
    kept = checkpoints.of_run(mlflow.active_run().info.run_id, schedule.phase)
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
    backend = keras_backend.of_process()
    names = [backend.distribution(), "keras", "numpy"]
    backend.log_model(
        model,
        name="model",
        signature=signature,
        # Given, because working them out takes MLflow half a minute.
        pip_requirements=[f"{name}=={version(name)}" for name in names],
        metadata={"class_names": list(data.class_names)},
    )
    checkpoints.remove(mlflow.active_run().info.run_id)


class _Batches:
    """Samples as what Keras takes, in batches; `seconds` counts the time that making them took."""

    def __init__(self, samples: Samples, size: int) -> None:
        self._samples = samples
        self._size = size
        self._sample = samples.inputs(np.arange(1))[0]
        self.seconds = 0.0

    def dataset(self, order: NDArray[np.int64]) -> object:
        """The samples at these positions, once."""
        count = -(-len(order) // self._size)
        batches = Batches(count, self._sample, lambda number: self._make(order, number * self._size))
        return keras_backend.of_process().dataset(batches)

    def _make(self, order: NDArray[np.int64], start: int) -> Batch:
        began = time.perf_counter()
        positions = order[start : start + self._size]
        labels = self._samples.labels[positions]
        weights = np.ones(len(labels)) if self._samples.weights is None else self._samples.weights[labels]
        batch = self._samples.inputs(positions), labels, weights.astype(np.float32)
        self.seconds += time.perf_counter() - began
        return batch


def _one_epoch(
    model: keras.Model, training: Samples, validation: Samples, schedule: Schedule, epoch: int
) -> Epoch:
    # Seeded by the number of the epoch, so that it is the same after a restart.
    order = np.random.default_rng([schedule.seed, epoch]).permutation(len(training.labels))
    # After Keras has built what it needs: it does so in a process's first `fit` alone, and on PyTorch that
    # draws from the generator that dropout takes its numbers from.
    seeding = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: _seed_layers(model, schedule.seed, epoch)
    )
    batches = _Batches(training, schedule.batch_size)
    start = time.perf_counter()
    learnt = model.fit(batches.dataset(order), verbose=0, shuffle=False, callbacks=[seeding]).history
    trained = time.perf_counter()
    judged = model.evaluate(
        _Batches(validation, schedule.batch_size).dataset(np.arange(len(validation.labels))),
        verbose=0,
        return_dict=True,
    )
    values = {
        **{name: float(value[-1]) for name, value in learnt.items()},
        **{f"val_{name}": float(value) for name, value in judged.items()},
        "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
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
    keras_backend.of_process().seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


def _print(values: Epoch, epoch: int, schedule: Schedule) -> None:
    shown = ("loss", "accuracy", "val_loss", "val_accuracy")
    numbers = "  ".join(f"{name} {values[name]:.3f}" for name in shown)
    last = schedule.first + schedule.epochs - 1
    print(f"epoch {epoch}/{last}  {numbers}  {values['seconds_epoch']:.1f} s", flush=True)
