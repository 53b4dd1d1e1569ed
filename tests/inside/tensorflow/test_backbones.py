"""Backbones as Keras builds them. Run in the tensorflow image, without a network."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from numpy.typing import NDArray
from trainkit.errors import InputError
from trainkit.keras import architectures, backbones

SIZES = {"inceptionv3": 75, "efficientnetb0": 32}
# Published for ImageNet: what the normalisation of EfficientNet's weights holds.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels(size: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def features(model: keras.Model) -> NDArray[np.float32]:
    known = architectures.BACKBONES[model.name]
    result = np.asarray(model(known.preprocess(pixels(SIZES[model.name])), training=False))
    assert result.std() > 0, "a constant would equal anything"
    return result


def plain(name: str) -> keras.Model:
    """A backbone of its smallest size."""
    return backbones.build(name, SIZES[name], "none")


@functools.cache
def randomised(name: str, seed: int = 0) -> keras.Model:
    """A backbone whose normalisations are not those that it begins with. Not to be changed: it is shared."""
    model = plain(name)
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        elif isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.array(MEAN), np.array(DEVIATION), np.array(0)])
            layer.finalize_state()
    return model


def save_as_published(model: keras.Model, file: Path) -> Path:
    """In the layout of the files that Keras publishes: HDF5, one group a layer."""
    with h5py.File(file, "w") as opened:
        legacy_h5_format.save_weights_to_hdf5_group(opened, model)
    return file


def save_weights(model: keras.Model, file: Path) -> Path:
    """In the form that the suffix says."""
    if file.name.endswith(".weights.h5"):
        model.save_weights(file)
    elif file.suffix == ".h5":
        save_as_published(model, file)
    else:
        model.save(file)
    return file


def refusal(do: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        do()
    return caught.value.message, caught.value.hint


@pytest.fixture(params=list(architectures.BACKBONES))
def name(request: pytest.FixtureRequest) -> str:
    """Each backbone in turn."""
    found = request.param
    assert isinstance(found, str)
    return found


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras's folder, with nothing in it yet."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Call it to have a server publish that model's weights as ImageNet's: the file that is served."""
    folder = tmp_path / "published"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def do(model: keras.Model) -> Path:
        known = architectures.BACKBONES[model.name]
        file = save_as_published(model, folder / known.weights_file)
        said = replace(
            known,
            weights_url=f"http://127.0.0.1:{server.server_address[1]}/{file.name}",
            weights_md5=hashlib.md5(file.read_bytes()).hexdigest(),
        )
        monkeypatch.setattr(architectures, "BACKBONES", {model.name: said})
        return file

    yield do
    server.shutdown()
    server.server_close()


def test_the_layers_and_blocks_are_where_the_table_has_them(name: str) -> None:
    model = randomised(name)
    known = architectures.BACKBONES[name]
    blocks = backbones.blocks(model)
    assert [block.name for block in blocks] == list(known.ends)
    assert blocks[0].first == 0
    assert blocks[-1].last == len(model.layers) - 1 == known.layers - 1
    for before, block in itertools.pairwise(blocks):
        assert block.first == before.last + 1
    assert sum(block.layers for block in blocks) == len(model.layers)
    assert sum(block.parameters for block in blocks) == model.count_params()
    last = [
        i
        for i, layer in enumerate(model.layers)
        if layer.weights and "normal" not in type(layer).__name__.lower()
    ]
    assert last[-1] == known.last_weights


def test_a_block_of_inception_ends_with_its_concatenation() -> None:
    model = randomised("inceptionv3")
    blocks = {block.name: block for block in backbones.blocks(model)}
    assert [model.layers[blocks[f"mixed{number}"].last].name for number in range(11)] == [
        f"mixed{number}" for number in range(11)
    ]
    stem = model.layers[blocks["stem"].last]
    assert (type(stem).__name__, stem.output.shape[-1]) == ("MaxPooling2D", 192)
    assert [model.layers[block.last].output.shape[1:] for block in blocks.values()][-2:] == [
        (1, 1, 2048),
        (2048,),
    ]


def test_a_block_of_efficientnet_has_the_layers_that_are_named_after_it() -> None:
    model = randomised("efficientnetb0")
    for block in backbones.blocks(model)[1:-1]:
        inside = model.layers[block.first : block.last + 1]
        assert {layer.name.split("_")[0] for layer in inside} == {block.name}
    stem = [layer.name for layer in model.layers if layer.name.startswith("stem")]
    assert [layer.name for layer in model.layers[4 : backbones.blocks(model)[0].last + 1]] == stem


@pytest.mark.parametrize(("name", "count"), [("inceptionv3", 2048), ("efficientnetb0", 1280)])
def test_images_become_features(name: str, count: int) -> None:
    assert features(plain(name)).shape == (2, count)


def test_inception_gets_what_its_own_preprocessing_gives() -> None:
    image = pixels(75)
    ours = np.asarray(architectures.BACKBONES["inceptionv3"].preprocess(image))
    theirs = keras.applications.inception_v3.preprocess_input(image.copy())
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_model_with_the_preprocessing_in_it_is_the_same_after_saving(name: str, tmp_path: Path) -> None:
    backbone = randomised(name)
    image = keras.Input((SIZES[name], SIZES[name], 3))
    outputs = backbone(architectures.BACKBONES[name].preprocess(image), training=False)
    model = keras.Model(image, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(pixels(SIZES[name])), features(backbone))


@functools.cache
def unfrozen_before(name: str) -> keras.Model:
    """A backbone that tests unfreeze one after the other: what trained before is to be frozen again."""
    return plain(name)


def trained(model: keras.Model) -> set[int]:
    """The layers that training would change."""
    return {index for index, layer in enumerate(model.layers) if layer.trainable_weights}


@pytest.mark.parametrize(
    ("name", "where", "first", "weights"),
    [
        ("inceptionv3", "mixed7", 197, 14_942_208),
        ("inceptionv3", "mixed10", 280, 6_070_272),
        ("inceptionv3", "stem", 0, 21_751_136),
        ("inceptionv3", "100", 212, 13_615_104),
        ("inceptionv3", "312", 0, 21_751_136),
        ("inceptionv3", "all", 0, 21_751_136),
        ("inceptionv3", "none", 312, 0),
        ("inceptionv3", "0", 312, 0),
        ("efficientnetb0", "block6a", 163, 3_129_884),
        ("efficientnetb0", "top", 235, 409_600),
        ("efficientnetb0", "all", 0, 3_965_532),
        ("efficientnetb0", "none", 239, 0),
    ],
)
def test_what_trains(name: str, where: str, first: int, weights: int) -> None:
    model = unfrozen_before(name)
    assert backbones.unfreeze(model, where) == first
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == weights
    assert all(index >= first for index in trained(model))
    kinds = {type(model.layers[index]).__name__ for index in trained(model)}
    assert "BatchNormalization" not in kinds


def test_a_frozen_backbone_is_unfrozen() -> None:
    model = unfrozen_before("inceptionv3")
    model.trainable = False
    backbones.unfreeze(model, "mixed7")
    assert min(trained(model)) == 197
    assert model.trainable_weights


def test_training_changes_what_is_unfrozen_and_nothing_else() -> None:
    backbone = plain("inceptionv3")
    first = backbones.unfreeze(backbone, "mixed9")
    image = keras.Input((75, 75, 3))
    model = keras.Model(image, keras.layers.Dense(1)(backbone(image, training=False)))
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse")
    before = [[np.copy(weight) for weight in layer.get_weights()] for layer in backbone.layers]
    model.fit(pixels(75) / 255, np.ones((2, 1)), verbose=0)
    changed = {
        index
        for index, layer in enumerate(backbone.layers)
        if any(not np.array_equal(a, b) for a, b in zip(before[index], layer.get_weights(), strict=True))
    }
    assert changed == {
        index
        for index, layer in enumerate(backbone.layers)
        if index >= first and type(layer).__name__ == "Conv2D"
    }


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("inceptionv3", ".keras"), *(("efficientnetb0", suffix) for suffix in (".weights.h5", ".keras", ".h5"))],
)
def test_weights_from_a_file_make_the_network_they_were_saved_from(
    name: str, suffix: str, tmp_path: Path
) -> None:
    saved = randomised(name)
    file = save_weights(saved, tmp_path / f"mine{suffix}")
    loaded = backbones.build(name, SIZES[name], str(file))
    np.testing.assert_array_equal(features(loaded), features(saved))


def test_weights_come_from_the_backbone_inside_a_saved_classifier(tmp_path: Path) -> None:
    backbone = randomised("efficientnetb0")
    image = keras.Input((32, 32, 3))
    keras.Model(image, keras.layers.Dense(3)(backbone(image))).save(tmp_path / "classifier.keras")
    loaded = backbones.build("efficientnetb0", 32, str(tmp_path / "classifier.keras"))
    np.testing.assert_array_equal(features(loaded), features(backbone))


def test_a_file_and_imagenet_make_the_network_that_keras_makes_of_imagenet(
    name: str, keras_home: Path, publish: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(randomised(name))
    downloaded = backbones.build(name, SIZES[name], "imagenet")
    from_file = backbones.build(name, SIZES[name], str(file))
    # Keras itself, its download replaced by our file.
    for module in ("efficientnet", "inception_v3"):
        monkeypatch.setattr(
            f"keras.src.applications.{module}.file_utils.get_file", lambda *_, **__: str(file)
        )
    maker = {
        "inceptionv3": keras.applications.InceptionV3,
        "efficientnetb0": keras.applications.EfficientNetB0,
    }
    theirs = maker[name](
        weights="imagenet",
        include_top=False,
        pooling="avg",
        input_shape=(SIZES[name], SIZES[name], 3),
        name=name,
    )
    for ours in (downloaded, from_file):
        assert [type(layer) for layer in ours.layers] == [type(layer) for layer in theirs.layers]
        np.testing.assert_allclose(features(ours), features(theirs), rtol=1e-5, atol=1e-6)
    assert [path.name for path in (keras_home / "models").iterdir()] == [file.name]


def test_the_published_files_are_those_that_keras_names() -> None:
    from keras.src.applications import efficientnet, inception_v3

    known = architectures.BACKBONES["inceptionv3"]
    assert known.weights_url == inception_v3.WEIGHTS_PATH_NO_TOP
    assert known.weights_md5 in Path(inception_v3.__file__).read_text()
    known = architectures.BACKBONES["efficientnetb0"]
    assert known.weights_url == f"{efficientnet.BASE_WEIGHTS_PATH}efficientnetb0_notop.h5"
    assert known.weights_md5 == efficientnet.WEIGHTS_HASHES["b0"][1]


def test_weights_that_were_downloaded_once_need_no_network(
    keras_home: Path, publish: Callable[..., Path]
) -> None:
    file = publish(randomised("efficientnetb0"))
    first = backbones.build("efficientnetb0", 32, "imagenet")
    file.unlink()
    np.testing.assert_array_equal(
        features(backbones.build("efficientnetb0", 32, "imagenet")), features(first)
    )
    assert (keras_home / "models" / file.name).exists()


def test_without_a_network_the_file_and_its_folder_are_named_and_that_helps(
    keras_home: Path, publish: Callable[..., Path]
) -> None:
    name = "efficientnetb0"
    file = publish(randomised(name))
    content = file.read_bytes()
    file.unlink()
    known = architectures.BACKBONES[name]
    message, hint = refusal(lambda: backbones.build(name, SIZES[name], "imagenet"))
    assert message.startswith(f"The ImageNet weights of {known.title} cannot be downloaded: ")
    assert known.weights_url in message
    assert f"put it into {keras_home / 'models'} (which lies on the cache volume)" in hint
    assert list((keras_home / "models").iterdir()) == []
    (keras_home / "models" / known.weights_file).write_bytes(content)
    assert len(backbones.build(name, SIZES[name], "imagenet").layers) == known.layers


def test_another_file_under_the_name_of_imagenets_weights_is_neither_used_nor_lost(
    keras_home: Path, publish: Callable[..., Path]
) -> None:
    publish(randomised("efficientnetb0"))
    mine = keras_home / "models" / "efficientnetb0_notop.h5"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="is not the file of ImageNet weights that Keras publishes"):
        backbones.build("efficientnetb0", 32, "imagenet")
    assert mine.read_bytes() == b"mine"


def test_weights_are_kept_in_the_cache(tmp_path: Path) -> None:
    code = (
        "from trainkit.keras import backbones; "
        "from keras.src.backend import config; print(config.keras_home())"
    )
    payload = {key: value for key, value in os.environ.items() if key != "KERAS_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**payload, "TRAINER_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(tmp_path / "keras")


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_weights_of_another_network_are_refused(suffix: str, tmp_path: Path) -> None:
    whole = randomised("efficientnetb0")
    half = keras.Model(whole.input, whole.get_layer("block4c_add").output)
    for other in (half, randomised("inceptionv3")):
        file = save_weights(other, tmp_path / f"{other.name}{suffix}")
        with pytest.raises(InputError) as caught:
            backbones.build("efficientnetb0", 32, str(file))
        assert caught.value.message.startswith(f"The weights in {file} do not fit EfficientNetB0: ")
        assert "\n" not in caught.value.message
        assert caught.value.hint == "Pass a file saved from EfficientNetB0 without its classifier."


@pytest.mark.parametrize("file", ["broken.weights.h5", "broken.keras", "broken.h5"])
def test_a_broken_file_of_weights_is_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_bytes(b"not this")
    message, _ = refusal(lambda: backbones.build("efficientnetb0", 32, str(tmp_path / file)))
    assert message.startswith(f"The weights in {tmp_path / file} do not fit EfficientNetB0: ")


def test_a_file_of_weights_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("1 2 3")
    assert refusal(lambda: backbones.build("inceptionv3", 75, str(tmp_path / "gone.keras"))) == (
        f"There is no file of weights {tmp_path / 'gone.keras'}.",
        "Use imagenet, none, or the path of an existing file.",
    )
    assert refusal(lambda: backbones.build("inceptionv3", 75, str(tmp_path / "weights.txt")))[0] == (
        f"{tmp_path / 'weights.txt'} is no file of Keras weights."
    )


def test_building_and_unfreezing_refuse_what_the_check_refuses() -> None:
    assert refusal(lambda: backbones.build("inceptionv4", 75, "none"))[1] == "Did you mean inceptionv3?"
    assert refusal(lambda: backbones.build("inceptionv3", 74, "imagenet"))[1].startswith("Take 75 at least")
    model = randomised("inceptionv3")
    assert refusal(lambda: backbones.unfreeze(model, "mixd7"))[1].startswith("Did you mean mixed7?")
