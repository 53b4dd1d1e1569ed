"""The classifiers themselves. Run in the tensorflow image, without a network."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from trainkit.keras import models

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(8) % 3


def answers(model: keras.Model, *, training: bool) -> NDArray[np.float32]:
    return np.asarray(model(PIXELS, training=training))


def base() -> keras.Model:
    """A small network by the name of a backbone."""
    inputs = keras.Input((32, 32, 3))
    return keras.Model(
        inputs, keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(8, 3)(inputs)), name="inceptionv3"
    )


def test_the_small_network_answers_raw_pixels_with_probabilities() -> None:
    found = answers(models.small_cnn(32, 3, augment=False), training=False)
    assert found.shape == (8, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("transfer", [False, True])
def test_augmentation_changes_pictures_in_training_alone(transfer: bool) -> None:
    def model(*, augment: bool) -> keras.Model:
        keras.utils.set_random_seed(0)
        if transfer:
            return models.transfer(base(), models.head(8, 3, 0.0), augment=augment)
        made = models.small_cnn(32, 3, augment=augment)
        made.get_layer("head").layers[0].rate = 0.0
        return made

    plain, augmented = model(augment=False), model(augment=True)
    augmented.set_weights(plain.get_weights())
    np.testing.assert_array_equal(answers(augmented, training=False), answers(plain, training=False))
    assert np.abs(answers(augmented, training=True) - answers(augmented, training=True)).max() > 1e-4
    np.testing.assert_array_equal(answers(plain, training=True), answers(plain, training=False))


def test_the_backbone_gets_what_its_preprocessing_makes_of_the_pixels() -> None:
    network, top = base(), models.head(8, 3, 0.0)
    whole = models.transfer(network, top, augment=False)
    by_hand = top(network(PIXELS / np.float32(127.5) - 1, training=False))
    np.testing.assert_allclose(answers(whole, training=False), by_hand, rtol=1e-5)


def test_weights_in_data_go_before_files_elsewhere(places: Path) -> None:
    (places / "data").mkdir()
    file = places / "data" / "mine.h5"
    file.touch()
    assert models.weights_place("mine.h5") == str(file)
    assert models.weights_place("/elsewhere/mine.h5") == "/elsewhere/mine.h5"
    for name in ("none", "imagenet"):
        (places / "data" / name).touch()
        assert models.weights_place(name) == name
