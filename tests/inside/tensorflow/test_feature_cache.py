"""Features of a frozen backbone. Run in the tensorflow image, without a network."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from trainkit.data import image_data, pixels
from trainkit.data.brightness import White
from trainkit.data.image_data import ImageData
from trainkit.keras import architectures, feature_cache, models
from trainkit.keras import training as keras_training
from trainkit.keras.training import Schedule

NAME = "inceptionv3"
# In the image both folders stand at the root, where ".." leads nowhere else.
PROJECTS = (Path(__file__).parent / "../../../train_code").resolve()


def backbone(name: str = NAME, size: int = 32) -> keras.Model:
    """A small network that goes by the name of a backbone: it is built and traced in no time."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(16, 5, strides=3, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(x), name=name)
    model.trainable = False
    return model


@pytest.fixture(scope="module")
def base() -> keras.Model:
    return backbone()


def load(base: keras.Model, data: ImageData, cache: Path) -> feature_cache.Features:
    return feature_cache.load(base, "some", data, cache)


@pytest.mark.usefixtures("run")
def test_features_are_what_the_backbone_answers_for_each_image(
    base: keras.Model, data: ImageData, places: Path
) -> None:
    training, validation = load(base, data, places / "cache").both(data, None)
    preprocess = architectures.BACKBONES[NAME].preprocess
    for part, samples in ((data.train, training), (data.validation, validation)):
        direct = np.asarray(base(preprocess(part.pixels().astype(np.float32)), training=False))
        assert direct.std(axis=0).max() > 0.01, "features that are all the same would equal anything"
        result = np.asarray(samples.inputs(np.arange(len(part))), dtype=np.float32)
        np.testing.assert_allclose(result, direct, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(samples.labels, part.labels)


@pytest.mark.usefixtures("run")
def test_a_second_run_computes_nothing(
    base: keras.Model, data: ImageData, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(base, data, places / "cache")
    monkeypatch.setattr(feature_cache, "_compute", lambda *_: pytest.fail("computed again"))
    second = load(base, data, places / "cache")
    assert (first.from_cache, second.from_cache) == (False, True)
    np.testing.assert_array_equal(first.array, second.array)


@pytest.mark.usefixtures("run")
def test_features_that_are_computed_again_are_the_same_to_the_last_bit(
    base: keras.Model, data: ImageData, places: Path
) -> None:
    first, again = (load(base, data, places / name) for name in ("one", "two"))
    assert (first.from_cache, again.from_cache) == (False, False)
    np.testing.assert_array_equal(first.array, again.array)


@pytest.mark.usefixtures("run")
def test_a_head_learns_from_features_what_it_learns_through_the_backbone(
    base: keras.Model, data: ImageData, places: Path
) -> None:
    project: dict[str, Any] = runpy.run_path(str(PROJECTS / NAME / "train.py"))
    results = []
    for cached in (True, False):
        keras.utils.set_random_seed(0)
        model = project["build_model"](base, 3, 0.2, augment=False)
        learner = model.get_layer("head") if cached else model
        samples = (
            load(base, data, places / "cache").both(data, None)
            if cached
            else (keras_training.samples(data.train), keras_training.samples(data.validation))
        )
        project["compile_model"](learner, "adam", 0.01)
        schedule = Schedule(3, 16, 0, 1, phase=f"cached {cached}")
        results.append(project["fit"](learner, samples, schedule).epochs)
    for ours, theirs in zip(*results, strict=True):
        for name in ("loss", "val_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3)
    assert results[0][-1]["loss"] < results[0][0]["loss"]


@pytest.mark.usefixtures("run")
def test_a_computation_that_is_cut_off_leaves_nothing_to_be_taken_for_the_whole(
    base: keras.Model, data: ImageData, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []

    def cut_off(model: keras.Model, batch: object) -> object:
        batches.append(batch)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return np.zeros((32, model.output_shape[-1]))

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "predict_on_batch", cut_off)
        with pytest.raises(KeyboardInterrupt):
            load(base, data, places / "cache")
    assert not list((places / "cache" / "features").iterdir())
    assert not load(base, data, places / "cache").from_cache


def test_the_key_follows_what_the_features_depend_on(
    base: keras.Model, data: ImageData, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = data.folder.root, places / "cache"
    keys = {feature_cache.key(base, "imagenet", data), feature_cache.key(base, "none 0", data)}
    keys.add(feature_cache.key(base, "imagenet", image_data.load(folder, 48, 0.2, 0, cache)))
    keys.add(feature_cache.key(backbone("efficientnetb0"), "imagenet", data))
    keys.add(feature_cache.key(base, "imagenet", replace(data, white=White(4095))))
    with monkeypatch.context() as patch:
        patch.setattr(pixels, "RECIPE", 99)
        keys.add(feature_cache.key(base, "imagenet", data))
    with monkeypatch.context() as patch:
        patch.setattr(keras, "__version__", "99")
        keys.add(feature_cache.key(base, "imagenet", data))
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "_PREPROCESSING", 99)
        keys.add(feature_cache.key(base, "imagenet", data))
    with monkeypatch.context() as patch:
        patch.setenv("TRAINER_DETERMINISTIC", "1")
        keys.add(feature_cache.key(base, "imagenet", data))
        patch.setattr("os.sched_getaffinity", lambda _: range(99))
        keys.add(feature_cache.key(base, "imagenet", data))
    picture = next((folder / "red").iterdir())
    picture.write_bytes(next((folder / "blue").iterdir()).read_bytes())
    keys.add(feature_cache.key(base, "imagenet", image_data.load(folder, 32, 0.2, 0, cache)))
    assert len(keys) == 11


def test_the_key_is_the_same_for_another_split_and_another_name(
    base: keras.Model, data: ImageData, places: Path, draw: Callable[..., Path]
) -> None:
    other = draw(places / "data" / "elsewhere", classes=3)
    again = image_data.load(other, 32, 0.5, 7, places / "cache")
    assert [*again.train.rows] != [*data.train.rows]
    assert feature_cache.key(base, "x", again) == feature_cache.key(base, "x", data)


def test_weights_are_known_by_the_seed_the_published_digest_or_their_content(tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    result = set()
    for content in (b"a", b"b"):
        file.write_bytes(content)
        result.add(feature_cache.weights_key(NAME, str(file), 0))
    result |= {feature_cache.weights_key(NAME, "none", seed) for seed in (0, 1)}
    result |= {feature_cache.weights_key(name, "imagenet", 0) for name in architectures.BACKBONES}
    assert len(result) == 6
    assert feature_cache.weights_key(NAME, "imagenet", 1) in result


def test_random_weights_follow_from_the_seed() -> None:
    same, again, other = (models.pretrained("inceptionv3", 75, "none", seed) for seed in (0, 0, 1))
    pairs = list(zip(same.get_weights(), again.get_weights(), other.get_weights(), strict=True))
    assert all((ours == theirs).all() for ours, theirs, _ in pairs)
    assert any((ours != theirs).any() for ours, _, theirs in pairs)


def test_a_backbone_answers_in_training_as_it_does_later() -> None:
    base = models.pretrained("efficientnetb0", 32, "none", 0)
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    answers = np.asarray(base(pixels, training=False))
    assert answers.std() > 0
    np.testing.assert_array_equal(base(pixels, training=True), answers)


def test_a_backbone_comes_frozen_and_a_random_one_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert not models.pretrained("inceptionv3", 75, "none", 0).trainable_variables
    assert "Warning: --weights none: the backbone is random" in capsys.readouterr().out
