"""Pretrained backbones of Keras: built, partly unfrozen, and cut into blocks.

Weights are kept in Keras's own folder, which lies in the cache unless $KERAS_HOME names another one.
"""

import hashlib
import os
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras

from trainkit.errors import InputError
from trainkit.keras.architectures import BACKBONES, Backbone, backbone, check, first_trained

__all__ = ["BACKBONES", "Backbone", "Block", "blocks", "build", "check", "unfreeze"]

_MAKERS = {
    "inceptionv3": keras.applications.InceptionV3,
    "efficientnetb0": keras.applications.EfficientNetB0,
}


@dataclass(frozen=True)
class Block:
    """Layers that belong together: indices `first` to `last`, both included, and what they add up to."""

    name: str
    first: int
    last: int
    layers: int
    parameters: int


def build(name: str, image_size: int, weights: str) -> keras.Model:
    """The backbone for images of that size: (n, size, size, 3), preprocessed → features (n, d).

    `weights` is `imagenet`, `none` (random ones), or the path of a .weights.h5, .h5 or .keras file. The
    network is the same for all of them, and nothing of it is frozen. Raises `InputError` for what `check`
    refuses, for weights that cannot be had, and for a file that does not fit.
    """
    check(name, image_size, "none")
    architecture = backbone(name)
    file = None
    if weights == "imagenet":
        file = _imagenet_file(architecture)
    elif weights != "none":
        file = _own_file(Path(weights))
    model = _MAKERS[name](
        weights=None, include_top=False, pooling="avg", input_shape=(image_size, image_size, 3), name=name
    )
    if name == "efficientnetb0":
        model = _with_rescaling(model)
    if file:
        _load(model, file, architecture)
    return model


def unfreeze(model: keras.Model, where: str) -> int:
    """Let the layers from `where` on train, freeze all before; returns the index of the first that trains.

    See `architectures.first_trained` for what `where` may be; for `none` the number of layers is returned.
    Batch normalisations stay frozen: call the model with `training=False`, so that they keep their means.
    A compiled model has to be compiled again. Raises `InputError` for a `where` that is not in the model.
    """
    first = first_trained(BACKBONES[model.name], where)
    model.trainable = True  # a frozen model hides what trains inside it
    for index, layer in enumerate(model.layers):
        layer.trainable = index >= first and not isinstance(layer, keras.layers.BatchNormalization)
    return first


def blocks(model: keras.Model) -> tuple[Block, ...]:
    """The blocks of a model that `build` made, in order; together they are all its layers."""
    blocks_found = []
    first = 0
    for name, last in BACKBONES[model.name].ends.items():
        layers = model.layers[first : last + 1]
        blocks_found.append(
            Block(name, first, last, len(layers), sum(layer.count_params() for layer in layers))
        )
        first = last + 1
    return tuple(blocks_found)


def _with_rescaling(model: keras.Model) -> keras.Model:
    """EfficientNet as Keras makes it for ImageNet's weights alone: rescaled again after normalisation.

    Those weights were trained with (x - mean) / deviation, but their normalisation holds the deviation where
    its layer takes a variance. The layer added here divides by the root that is missing.
    """
    deviations = (0.229, 0.224, 0.225)

    def call(layer: keras.layers.Layer, *inputs: object, **options: object) -> object:
        outputs = layer(*inputs, **options)
        if isinstance(layer, keras.layers.Normalization):
            return keras.layers.Rescaling([deviation**-0.5 for deviation in deviations])(outputs)
        return outputs

    pixels = keras.Input(model.input_shape[1:], name=model.layers[0].name)
    return keras.models.clone_model(model, input_tensors=pixels, call_function=call)


def _imagenet_file(architecture: Backbone) -> Path:
    """The file of ImageNet weights, downloaded if it is not in the cache yet."""
    folder = Path(os.environ["KERAS_HOME"]).expanduser() / "models"
    file = folder / architecture.weights_file
    if not file.exists():
        _download(architecture, file)
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    if md5 != architecture.weights_md5:
        raise InputError(
            f"{file} is not the file of ImageNet weights that Keras publishes: its MD5 is {md5}.",
            f"Remove it, so that it is downloaded; or put {architecture.weights_url} there.",
        )
    return file


def _download(architecture: Backbone, file: Path) -> None:
    # To a name of its own first: another run may be downloading it too, and this one may be killed.
    unfinished = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        # Without it, Keras would download to another place.
        file.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.get_file(
            unfinished.name,
            architecture.weights_url,
            cache_dir=file.parent.parent,
            cache_subdir=file.parent.name,
            file_hash=architecture.weights_md5,
        )
        unfinished.replace(file)
    except Exception as error:  # noqa: BLE001 (Keras raises no narrower one for a failed download)
        raise InputError(
            f"The ImageNet weights of {architecture.title} cannot be downloaded: {error}",
            f"Download that file elsewhere and put it into {file.parent} (which lies on the cache volume), "
            "or give its path instead of imagenet.",
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _own_file(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"There is no file of weights {path}.",
            "Use imagenet, none, or the path of an existing file.",
        )
    if path.suffix not in (".h5", ".keras"):
        raise InputError(f"{path} is no file of Keras weights.", "It has to be a .weights.h5 or .keras file.")
    return path


def _load(model: keras.Model, file: Path, architecture: Backbone) -> None:
    try:
        # Keras warns of every layer that it finds no weights for, and raises in the end.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            if file.suffix == ".keras":
                _take_weights(model, keras.models.load_model(file, compile=False))
            else:
                model.load_weights(file)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"The weights in {file} do not fit {architecture.title}: {reason}",
            f"Pass a file saved from {architecture.title} without its classifier.",
        ) from None


def _take_weights(model: keras.Model, saved: keras.Model) -> None:
    """From the saved model, or from the model inside it that has the same weights."""
    shapes = [weight.shape for weight in model.weights]
    inner = [layer for layer in saved.layers if isinstance(layer, keras.Model)]
    for candidate in (saved, *inner):
        if [weight.shape for weight in candidate.weights] == shapes:
            model.set_weights(candidate.get_weights())
            for layer in model.layers:
                if isinstance(layer, keras.layers.Normalization):
                    layer.finalize_state()  # it works with what it made of its weights earlier
            return
    raise ValueError("it holds no model with the same layers")
