"""Keras models as ONNX files. Run in the tensorflow image, without a network."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
from keras import layers
from mlflow.entities import Run
from mlflow.models import Model
from trainkit.data.image_data import ImageData
from trainkit.errors import InputError
from trainkit.inference.predictor import Predictor
from trainkit.keras import models, onnx_export, training
from trainkit.models import export, samples

# In the image both folders stand at the root, where ".." leads nowhere else.
PROJECTS = (Path(__file__).parent / "../../../train_code").resolve()
NETWORK: dict[str, Any] = runpy.run_path(str(PROJECTS / "tensorflow" / "train.py"))
TRANSFER: dict[str, Any] = runpy.run_path(str(PROJECTS / "inceptionv3" / "train.py"))


def logged(run: Run, folder: Path) -> Path:
    """What the run has logged, as an export gets it."""
    client = mlflow.MlflowClient()
    folder.mkdir()
    client.download_artifacts(run.info.run_id, samples.ARTIFACT, str(folder))
    mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/model", dst_path=str(folder))
    return folder


def trained(build: str, size: int, data: ImageData) -> keras.Model:
    """A model of a project, with weights that give other answers to other pictures."""
    if build == "small_cnn":
        model = NETWORK["build_model"](size, len(data.class_names), augment=True)
    else:
        base = models.pretrained(build, size, "none", 0)
        model = TRANSFER["build_model"](base, len(data.class_names), 0.2, augment=True)
    kernel, bias = model.get_layer("head").layers[-1].weights
    if build != "small_cnn":  # without training its answers are nearly the same for all pictures
        kernel.assign(kernel * 50)
    bias.assign([0.1, 0, -0.1])
    return model


@pytest.mark.parametrize("build", ["small_cnn", "efficientnetb0"])
def test_a_model_answers_the_same_as_an_onnx_file(
    run: Run, data: ImageData, tmp_path: Path, build: str
) -> None:
    model = trained(build, 32, data)
    training.log_model(model, data)

    report = export.export(logged(run, tmp_path / "export"), run.info.run_id)

    assert (report["samples"], report["same_class"]) == (12, 1)
    assert report["max_difference"] < 1e-5
    assert report["classes"] == ["blue", "green", "red"]
    predictor = Predictor.open(tmp_path / "export" / "onnx" / "model.onnx")
    pictures = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    answers = predictor.answers(list(pictures))
    expected = model.predict(pictures, verbose=0)
    assert np.abs(answers.values - expected).max() < expected.std(axis=0).max() / 20, "as a constant would"
    assert answers.embedding is not None
    assert answers.embedding.shape == (5, 128 if build == "small_cnn" else 1280)
    assert predictor.description.framework == f"keras {keras.__version__}"
    served = mlflow.pyfunc.load_model(str(tmp_path / "export" / "onnx")).predict(pictures)
    assert np.allclose(served["probabilities"], answers.values, atol=1e-6)
    saved = Model.load(str(tmp_path / "export" / "onnx"))
    assert saved.signature.inputs.inputs[0].shape == (-1, 32, 32, 3)


def test_samples_are_small_and_have_no_name_of_a_file(run: Run, data: ImageData, tmp_path: Path) -> None:
    training.log_model(trained("small_cnn", 32, data), data)
    path = logged(run, tmp_path / "export") / samples.ARTIFACT
    assert path.stat().st_size < 60_000
    with np.load(path) as arrays:
        assert sorted(arrays) == ["answers", "description", "pixels"]
        assert ".png" not in str(arrays["description"])
        assert str(data.folder.root) not in str(arrays["description"])


def test_what_a_layer_has_computed_before_becomes_a_constant() -> None:
    scale = layers.Normalization()
    scale.build((None, 8, 8, 3))
    scale.set_weights([np.array([100.0, 120, 90]), np.array([400.0, 900, 100]), np.array(3)])
    scale.finalize_state()
    pixels = keras.Input((8, 8, 3))
    softmax = layers.Dense(3, activation="softmax")
    model = keras.Model(pixels, softmax(layers.GlobalAveragePooling2D()(scale(pixels))))
    graph = onnx_export.export(model)
    assert [value.name for value in graph.graph.input] == ["pixels"]


def test_half_precision_is_exported(run: Run, data: ImageData, tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        training.log_model(trained("small_cnn", 32, data), data)
    finally:
        keras.config.set_dtype_policy("float32")
    report = export.export(logged(run, tmp_path / "export"), run.info.run_id)
    assert report["same_class"] == 1


def test_a_layer_that_is_not_known_is_said(run: Run, data: ImageData, tmp_path: Path) -> None:
    class Own(layers.Layer):  # type: ignore[misc]
        def call(self, inputs: object) -> object:
            return inputs

    pixels = keras.Input((32, 32, 3))
    softmax = layers.Dense(3, activation="softmax")
    training.log_model(keras.Model(pixels, softmax(layers.GlobalAveragePooling2D()(Own()(pixels)))), data)
    folder = logged(run, tmp_path / "export")
    command = [sys.executable, "-m", "trainkit.models.export", str(folder), run.info.run_id]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == export.UNEXPORTED, ended.stderr
    said = next(line for line in ended.stdout.splitlines() if line.startswith(export.MARK))
    assert "Keras cannot load the model" in json.loads(said.removeprefix(export.MARK))["message"]
    assert not (folder / export.PACKED).exists()


def test_a_run_without_samples_is_refused(run: Run, data: ImageData, tmp_path: Path) -> None:
    training.log_model(trained("small_cnn", 32, data), data)
    folder = logged(run, tmp_path / "export")
    (folder / samples.ARTIFACT).unlink()
    with pytest.raises(InputError, match=samples.ARTIFACT):
        export.export(folder, run.info.run_id)
    shutil.rmtree(folder)
