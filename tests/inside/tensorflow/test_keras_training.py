"""Epochs, checkpoints and the logged model. Run in the tensorflow image, without a network."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
from mlflow.entities import Run
from numpy.typing import NDArray
from trainkit.data import image_data
from trainkit.data.image_data import ImageData
from trainkit.errors import InputError
from trainkit.keras import checkpoints, training
from trainkit.keras.training import Samples, Schedule

# In the image both folders stand at the root, where ".." leads nowhere else.
PROJECTS = (Path(__file__).parent / "../../../train_code").resolve()
NETWORK: dict[str, Any] = runpy.run_path(str(PROJECTS / "tensorflow" / "train.py"))
TRANSFER: dict[str, Any] = runpy.run_path(str(PROJECTS / "inceptionv3" / "train.py"))

# These metrics are measured by the clock.
TIMES = ("seconds_epoch", "images_per_second", "input_busy")
PACE = Schedule(epochs=3, batch_size=16, patience=0, seed=1)


@dataclass(frozen=True)
class Trained:
    """A model and how it came about."""

    model: keras.Model
    history: checkpoints.History

    @property
    def numbers(self) -> list[dict[str, float]]:
        """The metrics of all epochs that no clock decides."""
        return [{name: v for name, v in epoch.items() if name not in TIMES} for epoch in self.history.epochs]


def train(data: ImageData, schedule: Schedule = PACE, rate: float = 0.003) -> Trained:
    """A small network with augmentation and dropout, so that everything random takes part."""
    training.setup(schedule.seed)
    model = NETWORK["build_model"](data.size, 3, augment=True)
    TRANSFER["compile_model"](model, "adam", rate)
    return Trained(
        model, fit(model, training.samples(data.train), training.samples(data.validation), schedule)
    )


def fit(
    model: keras.Model, samples: Samples, validation: Samples, schedule: Schedule = PACE
) -> checkpoints.History:
    history: checkpoints.History = TRANSFER["fit"](model, (samples, validation), schedule)
    return history


def in_own_run(data: ImageData, schedule: Schedule = PACE) -> Trained:
    with mlflow.start_run():
        return train(data, schedule)


def linear(rate: float = 0.0) -> keras.Model:
    """(n, 2) → 3 classes; with a rate of 0 it stays as it is."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    TRANSFER["compile_model"](model, "sgd", rate)
    return model


ROWS = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
SAMPLES = Samples(ROWS.__getitem__, LABELS)


def test_the_same_seed_gives_the_same_numbers_to_the_last_bit(data: ImageData) -> None:
    first, second = in_own_run(data), in_own_run(data)
    assert first.numbers == second.numbers
    for ours, theirs in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other = in_own_run(data, replace(PACE, seed=2, epochs=1))
    assert other.numbers[0]["loss"] != first.numbers[0]["loss"]


@pytest.mark.parametrize("logged", [False, True])
def test_a_killed_training_goes_on_to_the_same_numbers_and_no_step_is_logged_twice(
    data: ImageData, monkeypatch: pytest.MonkeyPatch, logged: bool
) -> None:
    whole = in_own_run(data)
    log = mlflow.log_metrics

    def killed(values: Mapping[str, float], step: int, timestamp: int) -> None:
        if logged or step < 2:
            log(values, step=step, timestamp=timestamp)
        if step == 2:
            raise KeyboardInterrupt

    with mlflow.start_run() as run:
        with monkeypatch.context() as patch:
            patch.setattr(mlflow, "log_metrics", killed)
            with pytest.raises(KeyboardInterrupt):
                train(data)
        again = train(data)
        points = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert again.numbers == whole.numbers
    # A tracking server, other than the files here, keeps points that are equal once.
    assert [step for step, *_ in sorted({(p.step, p.timestamp, p.value) for p in points})] == [1, 2, 3]
    for ours, theirs in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("run")
def test_training_stops_when_patience_is_over_and_keeps_the_best_weights(
    data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    # At this rate the loss soon goes up and down.
    trained = train(data, replace(PACE, epochs=40, patience=2), rate=0.02)
    losses = [epoch["val_loss"] for epoch in trained.history.epochs]
    assert len(losses) < 40
    assert losses.index(min(losses)) == len(losses) - 3
    assert f"stopped: no lower val_loss since epoch {len(losses) - 2}" in capsys.readouterr().out
    probabilities = training.predict(trained.model, data.validation, 16)
    right = probabilities[np.arange(len(data.validation)), data.validation.labels]
    assert -np.log(right).mean() == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.usefixtures("run")
def test_a_training_that_had_ended_trains_no_more_when_it_is_resumed(data: ImageData) -> None:
    for schedule in (PACE, replace(PACE, epochs=40, patience=2, phase="patient")):
        whole, again = (train(data, schedule, rate=0.02) for _ in range(2))
        assert again.history == whole.history
        for ours, theirs in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("run")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_project_of_an_earlier_version_trains_to_the_same_numbers(data: ImageData) -> None:
    whole = train(data, replace(PACE, phase="present"))
    training.setup(PACE.seed)
    model = NETWORK["build_model"](data.size, 3, augment=True)
    training.compile_model(model, "adam", 0.003)  # type: ignore[operator]
    parts = training.samples(data.train), training.samples(data.validation)
    history = training.train(model, *parts, replace(PACE, phase="earlier"))  # type: ignore[operator]
    assert Trained(model, history).numbers == whole.numbers


@pytest.mark.usefixtures("run")
def test_without_patience_all_epochs_are_trained() -> None:
    # A model that cannot learn never gets better than in its first epoch.
    history = fit(linear(), SAMPLES, SAMPLES, replace(PACE, epochs=6))
    assert len(history.epochs) == 6
    assert history.best == 1


def test_each_epoch_is_a_step_of_the_metrics_and_a_line_of_the_log(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    history = fit(linear(), SAMPLES, SAMPLES, replace(PACE, first=4))
    client = mlflow.MlflowClient()
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", *TIMES):
        points = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in points] == [4, 5, 6], name
    assert (history.first, history.last) == (4, 6)
    values = history.epochs[-1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(
        f"epoch 6/6  loss {values['loss']:.4f} (val {values['val_loss']:.4f})  "
        f"accuracy {values['accuracy']:.4f} (val {values['val_accuracy']:.4f})  "
    )
    assert 0 < values["input_busy"] < 1


@pytest.mark.usefixtures("run")
def test_every_epoch_takes_each_sample_once_in_an_order_of_its_own() -> None:
    taken: list[int] = []

    def inputs(positions: NDArray[np.int64]) -> NDArray[np.float32]:
        taken.extend(positions)
        return ROWS[positions]

    fit(linear(), Samples(inputs, LABELS), SAMPLES, replace(PACE, batch_size=4))
    assert len(taken) == 31, "one row more, to see its shape"
    epochs = [taken[start : start + 10] for start in range(1, 31, 10)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.usefixtures("run")
def test_a_batch_may_be_larger_than_the_data() -> None:
    history = fit(linear(0.1), SAMPLES, SAMPLES, replace(PACE, batch_size=1000))
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]


@pytest.mark.usefixtures("run")
def test_class_weights_say_how_much_a_sample_counts_in_the_loss() -> None:
    model, weights = linear(), np.array([1.0, 2.0, 0.5])
    right = np.asarray(model(ROWS))[np.arange(10), LABELS]
    weighted = Samples(ROWS.__getitem__, LABELS, weights)
    history = fit(model, weighted, SAMPLES, replace(PACE, epochs=1))
    expected = (-np.log(right) * weights[LABELS]).mean()
    assert history.epochs[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert history.epochs[0]["val_loss"] == pytest.approx(-np.log(right).mean(), rel=1e-5)


def test_class_weights_are_of_the_training_data_and_only_if_wanted(data: ImageData) -> None:
    np.testing.assert_array_equal(
        training.class_weights(data, "yes"), image_data.class_weights(data.train, 3)
    )
    assert training.class_weights(data, "no") is None


@pytest.mark.usefixtures("run")
def test_a_loss_that_is_no_number_ends_the_training() -> None:
    huge = Samples((ROWS * np.float32(1e38)).__getitem__, LABELS)
    with pytest.raises(InputError) as caught:
        fit(linear(1e30), huge, SAMPLES, PACE)
    assert "epoch 1: the training has diverged" in caught.value.message
    assert caught.value.hint == "Try a learning rate below 1e+30."


def test_the_logged_model_takes_pixels_and_knows_its_classes(run: Run, data: ImageData, places: Path) -> None:
    trained = train(data, replace(PACE, epochs=1))
    left = places / "cache" / "checkpoints" / run.info.run_id
    assert left.exists()
    training.log_model(trained.model, data)
    assert not left.exists()
    [output] = mlflow.get_run(run.info.run_id).outputs.model_outputs
    loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    pixels = data.validation.pixels()
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(
        loaded.predict(pixels), training.predict(trained.model, data.validation, 16), atol=1e-5
    )
    assert loaded.metadata.metadata["class_names"] == list(data.class_names)
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 32, 32, 3)


def test_results_of_every_part_but_the_trainings_are_logged(
    run: Run, data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {**data.parts, "test": data.validation}
    model = NETWORK["build_model"](32, 3, augment=False)
    metrics = training.evaluate(model, replace(data, parts=parts), 16)
    assert metrics["test_accuracy"] == metrics["validation_accuracy"]
    assert not [name for name in metrics if name.startswith("train")]
    assert metrics == pytest.approx(mlflow.get_run(run.info.run_id).data.metrics)
    assert "Warning" not in capsys.readouterr().out


@pytest.mark.usefixtures("run")
def test_a_gpu_that_was_asked_for_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda _: [])
    monkeypatch.setenv("TRAINER_GPUS", "device=0")
    with pytest.raises(InputError) as caught:
        training.setup(0)
    assert "TensorFlow sees no GPU" in caught.value.message
    assert "--gpus device=0" in caught.value.message


@pytest.mark.usefixtures("run")
def test_mixed_precision_is_refused_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda _: [])
    with pytest.raises(InputError, match="Mixed precision needs a GPU"):
        training.setup(0, "yes")
    assert keras.config.dtype_policy().name == "float32"


def test_what_decides_the_last_bits_is_recorded(run: Run) -> None:
    training.setup(0)
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert tags["mlflow.trainer.keras"] == keras.__version__
    assert int(tags["mlflow.trainer.threads"]) > 0
    assert tags["device"]
    assert tags["mlflow.trainer.onednn"]


NOT_REPEATABLE = """
import mlflow
from trainkit.errors import show_input_errors
from trainkit.keras import training
import tensorflow as tf

show_input_errors()
with mlflow.start_run():
    training.setup(0)
    tf.random.set_seed(None)
    tf.random.uniform([2])
print("done")
"""


@pytest.mark.usefixtures("places")
def test_an_operation_that_is_not_repeatable_ends_a_deterministic_run_and_no_other() -> None:
    def run(said: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "-c", NOT_REPEATABLE]
        environment = {**os.environ, "TRAINER_DETERMINISTIC": said}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    ended = run("1")
    assert ended.returncode == 1
    error, hint = ended.stderr.splitlines()[-2:]
    assert error.startswith("Error: Random ops require a seed to be set when determinism is enabled.")
    assert hint.endswith("or run it with --no-deterministic.")
    assert "Traceback" not in ended.stderr
    assert run("").stdout.splitlines()[-1] == "done"
