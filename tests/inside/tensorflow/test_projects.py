"""The projects tensorflow, inceptionv3 and efficientnetb0, as their MLprojects start them, on pictures."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest
import yaml
from mlflow.entities import Run
from PIL import Image
from trainkit.errors import InputError
from trainkit.keras import backbones, feature_cache
from trainkit.keras.architectures import BACKBONES
from trainkit.keras.training import Phase

# In the image both folders stand at the root, where ".." leads nowhere else.
PROJECTS = (Path(__file__).parent / "../../../train_code").resolve()
SMALL = {
    "tensorflow": {"image_size": 32},
    "inceptionv3": {"image_size": 75},
    "efficientnetb0": {"image_size": 32},
}
ARTIFACTS = {
    "confusion_matrix.png", "roc_curve.png", "worst_mistakes.png", "curves.png", "layers.txt",
    "report_validation.json", "report_validation.csv", "predictions_validation.csv",
}  # fmt: skip

# These metrics are measured by the clock.
TIMES = ("images_per_second", "input_busy")


@dataclass(frozen=True)
class Finished:
    """A run that has ended, with the steps of its metrics and its artifacts."""

    run: Run

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each."""
        return dict(self.run.data.metrics)

    def history(self, name: str) -> dict[int, float]:
        """Step → value."""
        client = mlflow.MlflowClient()
        return {point.step: point.value for point in client.get_metric_history(self.run.info.run_id, name)}

    def artifacts(self) -> set[str]:
        """Their paths."""
        return {file.path for file in mlflow.MlflowClient().list_artifacts(self.run.info.run_id)}

    def text(self, name: str) -> str:
        """One of them."""
        return str(mlflow.artifacts.load_text(f"{self.run.info.artifact_uri}/{name}"))


Draw = Callable[..., Path]
Start = Callable[..., Finished]


def command(project: str, **said: object) -> list[str]:
    """What the MLproject makes of its parameters, without the interpreter."""
    entry = yaml.safe_load((PROJECTS / project / "MLproject").read_text())["entry_points"]["main"]
    values = {name: parameter["default"] for name, parameter in entry["parameters"].items()}
    unknown = (SMALL[project] | said).keys() - values.keys()
    assert not unknown
    return [word.format(**{**values, **SMALL[project], **said}) for word in entry["command"].split()[1:]]


@pytest.fixture
def start(places: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> Start:
    """`start(project, parameter=value, …)` runs it on data/colours, and returns its run."""
    draw(places / "data" / "colours")

    def call(project: str, **said: object) -> Finished:
        script, *arguments = command(project, **{"data": "colours", "epochs": 2, **said})
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        runpy.run_path(str(PROJECTS / project / script), run_name="__main__")
        return Finished(mlflow.get_run(mlflow.last_active_run().info.run_id))

    return call


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network in the place of each backbone, for what does not depend on theirs."""

    def build(name: str, image_size: int, weights: str) -> keras.Model:  # noqa: ARG001
        layers = [keras.Input((image_size, image_size, 3)), keras.layers.Conv2D(8, 5, strides=5)]
        return keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D()], name=name)

    def unfreeze(model: keras.Model, where: str) -> int:
        model.trainable = where != "none"
        return 0

    monkeypatch.setattr(backbones, "build", build)
    monkeypatch.setattr(backbones, "unfreeze", unfreeze)


def lively(name: str, size: int, file: Path) -> Path:
    """Random weights whose features differ from picture to picture, where Keras's own fade away."""
    keras.utils.set_random_seed(0)
    model = backbones.build(name, size, "none")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # its means become those of the one batch
    noise = np.random.default_rng(0).uniform(0, 255, (16, size, size, 3))
    model(BACKBONES[name].preprocess(noise), training=True)
    model.save_weights(file)
    return file


def test_the_small_network_learns_and_leaves_everything_of_a_run(start: Start) -> None:
    done = start("tensorflow", epochs=12)
    assert done.metrics["validation_accuracy"] >= 0.9
    assert done.artifacts() >= ARTIFACTS
    assert {"seconds_load", "seconds_fit", "seconds_evaluate", "seconds_log_model"} <= done.metrics.keys()
    inputs = {
        i.tags[0].value: json.loads(i.dataset.profile)["num_rows"] for i in done.run.inputs.dataset_inputs
    }
    assert inputs == {"training": 64, "validation": 16}
    assert len(done.run.outputs.model_outputs) == 1
    predictions = list(csv.DictReader(done.text("predictions_validation.csv").splitlines()))
    right = sum(row["true"] == row["predicted"] for row in predictions) / len(predictions)
    assert right == pytest.approx(done.metrics["validation_accuracy"])


def test_two_runs_with_the_same_seed_give_the_same_metrics(start: Start) -> None:
    first, second = (start("tensorflow", augment="yes").metrics for _ in range(2))
    names = [n for n in first if not n.startswith(("seconds_", "system/")) and n not in TIMES]
    assert "validation_log_loss" in names
    assert {name: first[name] for name in names} == {name: second[name] for name in names}


def test_two_phases_are_one_history_and_a_second_run_computes_no_features(
    start: Start, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively("efficientnetb0", 32, places / "data" / "mine.weights.h5")
    payload = {"weights": "mine.weights.h5", "unfreeze_from": "block7a"}
    changed = watch(monkeypatch)
    first = start("efficientnetb0", **payload)
    assert list(first.history("val_loss")) == [1, 2, 3, 4]
    rates = first.history("learning_rate")
    assert rates[3] == pytest.approx(rates[2] / 10)
    assert first.artifacts() >= ARTIFACTS
    assert changed["head"] == {"dense"}
    # Convolutions alone: the normalisations between them keep what they were trained with.
    assert changed["fine-tuning"] == {
        "block7a_expand_conv", "block7a_dwconv", "block7a_se_reduce", "block7a_se_expand",
        "block7a_project_conv", "top_conv", "dense",
    }  # fmt: skip
    assert first.run.data.tags["features"] == "computed"
    monkeypatch.setattr(feature_cache, "_compute", lambda *_: pytest.fail("computed again"))
    second = start("efficientnetb0", **payload, fine_tune_epochs=0)
    assert second.run.data.tags["features"] == "from the cache"
    assert list(second.history("val_loss").values()) == list(first.history("val_loss").values())[:2]


def watch(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The names of the layers whose weights, means included, each phase will have changed."""
    fit = keras.Model.fit
    changed: dict[str, set[str]] = {}

    def watched(model: keras.Model, *data: object, callbacks: list[Phase], **options: object) -> None:
        before = {weight.path: np.array(weight) for weight in model.weights}
        fit(model, *data, callbacks=callbacks, **options)
        paths = [weight.path for weight in model.weights if (before[weight.path] != np.array(weight)).any()]
        (phase,) = callbacks
        changed[phase.schedule.phase] = {re.sub(r"dense_\d+", "dense", path.split("/")[-2]) for path in paths}

    monkeypatch.setattr(keras.Model, "fit", watched)
    return changed


def test_the_head_learns_from_the_features_of_a_file_of_weights(
    start: Start, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lively("inceptionv3", 75, places / "data" / "mine.weights.h5")
    done = start(
        "inceptionv3", weights="mine.weights.h5", unfreeze_from="none", epochs=30, learning_rate=0.01
    )
    assert done.metrics["validation_accuracy"] >= 0.7
    assert max(done.history("val_loss")) <= 30
    output = capsys.readouterr().out
    assert "random" not in output
    assert "fine-tuning" not in output


@pytest.mark.usefixtures("tiny")
def test_with_augmentation_no_features_are_kept_and_that_is_reported(
    start: Start, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = start("inceptionv3", weights="none", augment="yes", epochs=1, fine_tune_epochs=0)
    assert "none are taken from the cache" in capsys.readouterr().out
    assert "features" not in done.run.data.tags
    assert not (places / "cache" / "features").exists()


@pytest.mark.usefixtures("tiny")
def test_fine_tuning_that_makes_it_worse_is_taken_back(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = keras.Model.fit

    def spoil(model: keras.Model, *data: object, callbacks: list[Phase], **options: object) -> None:
        (phase,) = callbacks
        if phase.schedule.phase == "head":
            fit(model, *data, callbacks=callbacks, **options)
        else:
            model.set_weights([3 * np.random.normal(size=weight.shape) for weight in model.get_weights()])
            phase.history.epochs.append({"val_loss": 99.0})

    monkeypatch.setattr(keras.Model, "fit", spoil)
    done = start("inceptionv3", weights="none")
    losses = done.history("val_loss")
    kept = min(losses, key=lambda epoch: losses[epoch])
    assert f"the weights of epoch {kept} are kept" in capsys.readouterr().out
    assert done.metrics["validation_log_loss"] == pytest.approx(losses[kept], rel=0.001)


def test_pictures_of_other_kinds_are_converted_and_counted(
    start: Start, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = places / "data" / "colours" / "red"
    picture = Image.open(folder / "00.png")
    picture.convert("CMYK").save(folder / "c.jpg")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    picture.save(folder / "moving.gif", save_all=True, append_images=[Image.open(folder / "01.png")])
    start("tensorflow", epochs=1)
    output = capsys.readouterr().out
    assert "Warning: images converted to 8-bit RGB: 1 16-bit, 1 CMYK, 1 animated" in output
    assert "epoch 1/1" in output


def empty_class(folder: Path) -> None:
    (folder / "an empty one").mkdir()


def corrupt_file(folder: Path) -> None:
    picture = folder / "red" / "03.jpg"
    Image.open(folder / "red" / "00.png").resize((300, 300)).save(picture)
    picture.write_bytes(picture.read_bytes()[:2000])


def one_class(folder: Path) -> None:
    for name in ("blue", "green", "yellow"):
        shutil.rmtree(folder / name)


def class_without_training(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "copy" / "validation")
    shutil.copytree(folder, folder.parent / "copy" / "train")
    shutil.rmtree(folder)
    (folder.parent / "copy").rename(folder)
    shutil.rmtree(folder / "train" / "red")


@pytest.mark.parametrize("project", SMALL)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty_class, "an empty one has no images"),
        (corrupt_file, "1 of 81 images cannot be read: .*03.jpg"),
        (one_class, "has one class only: red"),
        (class_without_training, "The class red is in .*validation but not in train"),
    ],
)
def test_data_that_cannot_be_trained_on_is_reported_before_the_first_epoch(
    start: Start, places: Path, capsys: pytest.CaptureFixture[str],
    project: str, spoil: Callable[[Path], None], message: str,
) -> None:  # fmt: skip
    spoil(places / "data" / "colours")
    with pytest.raises(InputError) as caught:
        start(project)
    assert re.search(message, caught.value.message)
    assert caught.value.hint
    assert "epoch" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("project", "said", "message", "hint"),
    [
        ("inceptionv3", {"unfreeze_from": "mixed77"}, "no block mixed77", "Did you mean mixed7?"),
        ("efficientnetb0", {"unfreeze_from": "mixed7"}, "no block mixed7", "block6a"),
        ("inceptionv3", {"image_size": 74}, "74 by 74 pixels", "Take 75 at least"),
        ("efficientnetb0", {"image_size": 16}, "16 by 16 pixels", "Take 32 at least"),
        ("inceptionv3", {"weights": "nothing.h5"}, "no file of weights nothing.h5", "imagenet, none"),
        ("inceptionv3", {"mixed_precision": "yes"}, "Mixed precision needs a GPU", "--mixed-precision no"),
        ("tensorflow", {"mixed_precision": "yes"}, "Mixed precision needs a GPU", "--mixed-precision no"),
    ],
)
def test_bad_parameters_are_reported_before_the_first_epoch(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    project: str, said: dict[str, object], message: str, hint: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda _: [])
    with pytest.raises(InputError) as caught:
        start(project, **said)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "epoch" not in capsys.readouterr().out


def test_a_batch_size_above_the_number_of_images_is_fine(start: Start) -> None:
    done = start("tensorflow", epochs=1, batch_size=10_000)
    assert done.metrics["validation_accuracy"] >= 0


def test_classes_and_values_outside_of_training_are_judged_too(start: Start, places: Path) -> None:
    folder = places / "data" / "colours"
    shutil.copytree(folder, folder.parent / "copy" / "train")
    for split, classes in (("validation", ("red", "blue")), ("test", ("red", "green"))):
        for name in classes:
            shutil.copytree(folder / name, folder.parent / "copy" / split / name)
    shutil.rmtree(folder)
    (folder.parent / "copy").rename(folder)
    done = start("tensorflow", epochs=1)
    assert {"validation_accuracy", "test_accuracy", "test_f1"} <= done.metrics.keys()
    assert done.artifacts() >= ARTIFACTS | {"confusion_matrix_test.png", "predictions_test.csv"}


def test_what_a_user_sees_of_bad_input_is_two_lines(places: Path, draw: Draw) -> None:
    draw(places / "data" / "colours", classes=1)
    done = subprocess.run(
        [sys.executable, *command("tensorflow", data="colours")],
        cwd=PROJECTS / "tensorflow",
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith(("Error", "Hint", "Traceback"))]
    assert lines == [
        f"Error: {places}/data/colours has one class only: blue.",
        "Hint:  A classifier needs two at least.",
    ]
    assert "epoch" not in done.stdout


def test_the_backbones_share_one_script() -> None:
    theirs, ours = (PROJECTS / name / "train.py" for name in ("inceptionv3", "efficientnetb0"))
    assert ours.is_symlink()
    assert ours.resolve() == theirs
