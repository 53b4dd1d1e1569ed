"""A model that begins with the weights of an earlier run's. Run in the tensorflow image."""

from __future__ import annotations

from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from trainkit.errors import InputError
from trainkit.keras import backend, feature_cache
from trainkit.models import warm_start

NAMES = ["blue", "red"]
SIGNATURE = ModelSignature(
    Schema([TensorSpec(np.dtype("float32"), (-1, 3))]), Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
)


def build(classes: int = 2, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    scaled = keras.layers.Normalization()
    scaled.adapt(np.random.default_rng(seed).normal(seed, 1 + seed, (20, 3)))
    learnt = keras.layers.BatchNormalization()
    return keras.Sequential([keras.Input((3,)), scaled, learnt, keras.layers.Dense(classes)])


@pytest.fixture
def earlier(run: Run, monkeypatch: pytest.MonkeyPatch) -> keras.Model:  # noqa: ARG001
    """A model that a run has logged, as a run finds it that trains it further."""
    model = build(seed=1)
    backend.of_process().log_model(
        model, name="model", pip_requirements=["keras"], signature=SIGNATURE, metadata={"class_names": NAMES}
    )
    mlflow.flush_async_logging()
    folder = mlflow.artifacts.download_artifacts(f"runs:/{mlflow.active_run().info.run_id}/model")
    monkeypatch.setenv("TRAINER_WARM_START", folder)
    monkeypatch.setenv("TRAINER_WARM_START_RUN", "ab" * 16)
    return model


def test_the_model_answers_as_the_earlier_one(
    earlier: keras.Model, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = np.random.default_rng(0).normal(size=(5, 3))
    model = build()
    model.layers[-1].trainable = False  # what is frozen now changes no order
    warm_start.load(model, NAMES)
    assert capsys.readouterr().out == "warm start: the weights of the run abababab\n"
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), earlier.predict(inputs, verbose=0))


def test_features_are_those_of_the_earlier_weights(earlier: keras.Model) -> None:  # noqa: ARG001
    key = feature_cache.weights_key("inceptionv3", "imagenet", 0)
    assert key == f"warm start {warm_start.digest()}"


@pytest.mark.usefixtures("earlier")
def test_other_layers_and_other_classes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="kernel is 3 x 4, and was 3 x 2"):
        warm_start.load(build(classes=4))
    with pytest.raises(
        InputError, match="was trained on the classes blue, red; those of the data are red, blue"
    ):
        warm_start.load(build(), ["red", "blue"])
    monkeypatch.setenv("TRAINER_WARM_START", str(tmp_path / "model.pt"))
    with pytest.raises(InputError, match="is not of Keras"):
        warm_start.load(build())
