"""Pretrained networks of Keras as classifiers take them."""

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
from keras import layers

from trainkit import former_names, paths
from trainkit.keras import backbones
from trainkit.models import model_layers, warm_start


def pretrained(name: str, image_size: int, weights: str, seed: int) -> keras.Model:
    """The backbone of that name, see `backbones.build`, frozen and without dropout of its own.

    Random weights follow from the seed. It answers in training as it does later, unfrozen or not: its
    normalisations stay frozen, and it has no dropout. `base(x, training=False)` would not do: Keras 3.15
    replaces it by what `fit` says.
    """
    keras.utils.set_random_seed(seed)
    if model_layers.are_asked_for() or warm_start.is_asked_for():
        weights = "none"  # for others, or for nothing: none are downloaded
    elif weights == "none":
        print("Warning: --weights none: the backbone is random and has learnt nothing yet", flush=True)
    base = backbones.build(name, image_size, weights)
    backbones.unfreeze(base, "none")
    for layer in base.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    return base


def weights_path(weights: str) -> str:
    """`imagenet` and `none` as they are, and the path of a file: one in data/ goes before others."""
    if weights in ("imagenet", "none"):
        return weights
    path = paths.dataset(weights)
    return str(path) if path.is_file() else weights


def __getattr__(name: str) -> object:
    return former_names.attribute(__name__, name)
