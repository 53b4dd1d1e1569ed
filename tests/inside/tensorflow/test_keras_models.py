"""The projects' networks. Run in the tensorflow image, without a network."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from trainkit.keras import models

# In the image both folders stand at the root, where ".." leads nowhere else.
PROJECTS = (Path(__file__).parent / "../../../train_code").resolve()

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(8) % 3


def build_model(project: str, *arguments: object, augment: bool) -> keras.Model:
    """What the project's train.py makes."""
    functions: dict[str, Any] = runpy.run_path(str(PROJECTS / project / "train.py"))
    return functions["build_model"](*arguments, augment=augment)


def answers(model: keras.Model, *, training: bool) -> NDArray[np.float32]:
    return np.asarray(model(PIXELS, training=training))


def base() -> keras.Model:
    """A small network by the name of a backbone."""
    inputs = keras.Input((32, 32, 3))
    return keras.Model(
        inputs, keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(8, 3)(inputs)), name="inceptionv3"
    )


def test_the_small_network_answers_raw_pixels_with_probabilities() -> None:
    model = build_model("tensorflow", 32, 3, augment=False)
    probabilities = answers(model, training=False)
    assert probabilities.shape == (8, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert 230_000 < model.count_params() < 250_000


@pytest.mark.parametrize("transfer", [False, True])
def test_augmentation_changes_pictures_in_training_alone(transfer: bool) -> None:
    def model(*, augment: bool) -> keras.Model:
        keras.utils.set_random_seed(0)
        if transfer:
            return build_model("inceptionv3", base(), 3, 0.0, augment=augment)
        built = build_model("tensorflow", 32, 3, augment=augment)
        built.get_layer("head").layers[0].rate = 0.0
        return built

    plain, augmented = model(augment=False), model(augment=True)
    augmented.set_weights(plain.get_weights())
    np.testing.assert_array_equal(answers(augmented, training=False), answers(plain, training=False))
    assert np.abs(answers(augmented, training=True) - answers(augmented, training=True)).max() > 1e-4
    np.testing.assert_array_equal(answers(plain, training=True), answers(plain, training=False))


def test_the_backbone_gets_what_its_preprocessing_makes_of_the_pixels() -> None:
    network = base()
    whole = build_model("inceptionv3", network, 3, 0.0, augment=False)
    by_hand = whole.get_layer("head")(network(PIXELS / np.float32(127.5) - 1, training=False))
    np.testing.assert_allclose(answers(whole, training=False), by_hand, rtol=1e-5)


def test_weights_in_data_go_before_files_elsewhere(places: Path) -> None:
    (places / "data").mkdir()
    file = places / "data" / "mine.h5"
    file.touch()
    assert models.weights_path("mine.h5") == str(file)
    assert models.weights_path("/elsewhere/mine.h5") == "/elsewhere/mine.h5"
    for name in ("none", "imagenet"):
        (places / "data" / name).touch()
        assert models.weights_path(name) == name


def seeded(make: Callable[[], keras.Model]) -> keras.Model:
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return make()


def same(earlier: keras.Model, present: keras.Model) -> None:
    assert [weight.path for weight in earlier.weights] == [weight.path for weight in present.weights]
    for ours, theirs in zip(earlier.get_weights(), present.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_project_of_an_earlier_version_builds_the_same_networks() -> None:
    earlier = seeded(lambda: models.small_cnn(32, 3, augment=True))  # type: ignore[operator]
    same(earlier, seeded(lambda: build_model("tensorflow", 32, 3, augment=True)))
    earlier = seeded(
        lambda: models.transfer(base(), models.head(8, 3, 0.2), augment=True)  # type: ignore[operator]
    )
    same(earlier, seeded(lambda: build_model("inceptionv3", base(), 3, 0.2, augment=True)))


def test_a_project_of_an_earlier_version_is_told_where_its_network_and_names_are_now() -> None:
    with pytest.warns(DeprecationWarning, match=r"models\.small_cnn: a project's train\.py has it now"):
        models.small_cnn(32, 3, augment=True)  # type: ignore[operator]
    with pytest.warns(DeprecationWarning, match="it is trainkit.keras.models.weights_path now"):
        assert models.weights_place("none") == "none"  # type: ignore[operator]
