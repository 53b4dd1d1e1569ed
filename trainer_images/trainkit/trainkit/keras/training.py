"""Around `compile` and `fit` of Keras: the device, batches, a callback, predictions, the logged model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import SupportsFloat

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from trainkit import former_names, live
from trainkit.classification import log_results
from trainkit.data import image_data
from trainkit.data.image_data import ImageData, Part
from trainkit.data.image_folder import TRAIN
from trainkit.epoch_line import epoch_line
from trainkit.errors import InputError
from trainkit.keras import backend as keras_backend
from trainkit.keras import checkpoints
from trainkit.keras.backend import Batch, Batches
from trainkit.models import samples as samples_of_run
from trainkit.seeding import is_deterministic

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
}
_PRINTED = ("loss", "accuracy", "val_loss", "val_accuracy")


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

    @property
    def last(self) -> int:
        """The number of the last epoch, if it does not end earlier: `epochs` of Keras's `fit`."""
        return self.first + self.epochs - 1


def setup(seed: int, mixed_precision: str = "no") -> None:
    """Seed everything, take the GPUs this run was given, set the precision; before any model is made.

    In a deterministic run the backend replaces or refuses operations that do not give the same numbers twice.
    Its name and the device become tags of the active MLflow run; versions and what else decides the last bits
    of the results as well, by names that MLflow's UI does not list. Raises `InputError` where it does not see
    the GPUs that were asked for, and for mixed precision without a GPU.
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
    name = keras.backend.backend()
    details = {"keras": keras.__version__, name: backend.version(), **backend.tags()}
    mlflow.set_tags(
        {
            "keras_backend": name,
            "device": ", ".join(gpus) or "CPU",
            **{f"mlflow.trainer.{key}": value for key, value in details.items()},
        }
    )


def class_weights(data: ImageData, wanted: str) -> NDArray[np.float64] | None:
    """With `yes`, weights for `Samples` that let all classes count the same."""
    return image_data.class_weights(data.train, len(data.class_names)) if wanted == "yes" else None


def samples(part: Part, weights: NDArray[np.float64] | None = None) -> Samples:
    """The pixels and labels of a part."""
    return Samples(part.pixels, part.labels, weights)


class Phase(keras.callbacks.Callback):  # type: ignore[misc]
    """One phase of a training: the batches that Keras's `fit` takes, and the callback that goes with them.

        phase = Phase(training_samples, validation_samples, schedule)
        model.fit(
            phase.batches,
            validation_data=phase.validation_batches,
            initial_epoch=phase.resume(model),
            epochs=schedule.last,
            callbacks=[phase],
            shuffle=False,
        )

    Each epoch shuffles its samples by the schedule's seed, and is a line of the log, a step of the active
    MLflow run's metrics, and a checkpoint: the same run started again continues after the last whole epoch,
    and ends with the same numbers to the last bit. `fit` leaves the model with the weights of its best epoch,
    and `history` has all epochs. Raises `InputError` if the loss is no longer a number.
    """

    async_safe = True
    """Keras waits for no batch of a GPU in order to call `on_train_batch_end`."""

    def __init__(self, training: Samples, validation: Samples, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self._kept = checkpoints.of_run(mlflow.active_run().info.run_id, schedule.phase)
        self.history = self._kept.read(schedule.first)
        self._training = _Batches(training, schedule.batch_size)
        # Keras may take batches before the first epoch begins, to build what it needs.
        self._shuffle(self.history.last + 1)
        self.batches = self._training.dataset()
        self.validation_batches = _Batches(validation, schedule.batch_size).dataset()
        self._epochs = live.Epochs(schedule.last)
        self._began = self._trained = 0.0

    def resume(self, model: keras.Model) -> int:
        """Restore a compiled model from the last checkpoint of an earlier start of this run, if there is one.

        Returns the number of epochs that are behind it, `initial_epoch` of `fit`.
        """
        history, schedule = self.history, self.schedule
        if history.epochs:
            print(f"{schedule.phase}: going on after epoch {history.last}, from a checkpoint", flush=True)
            self._kept.restore(model, history.last)
            # It may have been killed after it was kept and before it was logged.
            mlflow.log_metrics(history.epochs[-1], step=history.last, timestamp=self._kept.saved_ms())
        return schedule.last if history.stalled(schedule.patience) else history.last

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002
        """Seed the epoch by its number, so that it is the same after a restart."""
        self._shuffle(epoch + 1)
        # After Keras has built what it needs: it does so in a process's first `fit` alone, and on PyTorch
        # that draws from the generator that dropout takes its numbers from.
        _seed_layers(self.model, self.schedule.seed, epoch + 1)
        self._epochs.begin(epoch + 1, len(self._training))
        self._training.seconds = 0.0
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002
        """Show how far it is."""
        self._epochs.step(batch + 1)

    def on_test_begin(self, logs: object = None) -> None:  # noqa: ARG002
        """The training of this epoch is over."""
        self._trained = time.perf_counter()
        self._epochs.validate()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, SupportsFloat]) -> None:
        """Save a checkpoint, log and print the metrics, and end the training when patience is over."""
        seconds = self._trained - self._began
        values = {
            **{name: float(value) for name, value in logs.items()},
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "seconds_epoch": time.perf_counter() - self._began,
            "images_per_second": len(self._training.order) / seconds,
            "input_busy": self._training.seconds / seconds,
        }
        if not np.isfinite([values["loss"], values["val_loss"]]).all():
            raise InputError(
                f"The loss is {values['loss']} after epoch {epoch + 1}: the training has diverged.",
                f"Try a learning rate below {values['learning_rate']:g}.",
            )
        self.history.epochs.append(values)
        self._kept.save(self.model, self.history)
        mlflow.log_metrics(values, step=epoch + 1, timestamp=self._kept.saved_ms())
        shown = {name: values[name] for name in _PRINTED}
        print(epoch_line(epoch + 1, self.schedule.last, shown, values["seconds_epoch"]), flush=True)
        if self.history.stalled(self.schedule.patience):
            self.model.stop_training = True

    def on_train_end(self, logs: object = None) -> None:  # noqa: ARG002
        """Restore the weights of the best epoch."""
        history = self.history
        if history.stalled(self.schedule.patience):
            print(f"stopped: no lower val_loss since epoch {history.best}", flush=True)
        if history.best != history.last:
            self._kept.restore(self.model, history.best)

    def _shuffle(self, epoch: int) -> None:
        random = np.random.default_rng([self.schedule.seed, epoch])
        self._training.order = random.permutation(len(self._training.order))


def predict(model: keras.Model, part: Part, batch_size: int) -> NDArray[np.float32]:
    """The probabilities of all classes, (n, classes), for all images of a part."""
    return np.asarray(model.predict(_Batches(samples(part), batch_size).dataset(), verbose=0))


def evaluate(model: keras.Model, data: ImageData, batch_size: int) -> dict[str, float]:
    """Log the results on every part but the training's; return the metrics of all of them."""
    metrics: dict[str, float] = {}
    for split, part in data.parts.items():
        if split != TRAIN:
            probabilities = predict(model, part, batch_size)
            metrics |= log_results(part.labels, probabilities, data.class_names, split=split, part=part)
    return metrics


def log_model(model: keras.Model, data: ImageData) -> None:
    """Log the model to the active MLflow run, with samples of its answers; remove the run's checkpoints.

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
    pictures = samples_of_run.images_of(data)
    samples_of_run.log_images(data, model.predict(pictures, verbose=0))
    checkpoints.remove(mlflow.active_run().info.run_id)


class _Batches:
    """Samples as what Keras takes, in batches, by `order`; `seconds` counts the time of making them."""

    def __init__(self, samples: Samples, size: int) -> None:
        self._samples = samples
        self._size = size
        self.order: NDArray[np.int64] = np.arange(len(samples.labels))
        self.seconds = 0.0

    def __len__(self) -> int:
        return -(-len(self.order) // self._size)

    def dataset(self) -> object:
        """The samples once, each time it is iterated."""
        sample = self._samples.inputs(np.arange(1))[0]
        return keras_backend.of_process().dataset(Batches(len(self), sample, self._make))

    def _make(self, number: int) -> Batch:
        began = time.perf_counter()
        positions = self.order[number * self._size : (number + 1) * self._size]
        labels = self._samples.labels[positions]
        weights = np.ones(len(labels)) if self._samples.weights is None else self._samples.weights[labels]
        batch = self._samples.inputs(positions), labels, weights.astype(np.float32)
        self.seconds += time.perf_counter() - began
        return batch


def _seed_layers(model: keras.Model, seed: int, epoch: int) -> None:
    """Dropout and augmentation draw the same numbers in this epoch, whatever was drawn before."""
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for position, state in enumerate(states):
        words = np.random.SeedSequence([seed, epoch, position]).generate_state(2)
        state.assign(words.astype(state.dtype))
    keras_backend.of_process().seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


def __getattr__(name: str) -> object:
    return former_names.attribute(__name__, name)
