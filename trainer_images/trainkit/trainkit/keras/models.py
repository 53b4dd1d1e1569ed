"""Image classifiers in Keras: from pixels of 0 … 255, (n, size, size, 3), to probabilities, (n, classes)."""

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
from keras import layers

from trainkit import places
from trainkit.keras import backbones
from trainkit.keras.architectures import backbone


def augmentation() -> keras.Sequential:
    """Random changes that leave a picture's class what it is, new each time, during training alone."""
    return keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.1)],
        name="augmentation",
    )


def small_cnn(image_size: int, classes: int, *, augment: bool) -> keras.Model:
    """A convolutional network of 0.24 million parameters that learns from scratch."""
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    x = augmentation()(pixels) if augment else pixels
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    last = 128
    for filters in (32, 64, 128, last):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        # Means of a batch take hundreds of steps to settle; a small dataset has ten an epoch.
        x = layers.GroupNormalization(groups=8)(x)
        x = layers.MaxPooling2D()(layers.ReLU()(x))
    return keras.Model(pixels, head(last, classes, 0.2)(layers.GlobalAveragePooling2D()(x)), name="small_cnn")


def head(features: int, classes: int, dropout: float) -> keras.Sequential:
    """From features, (n, `features`), to probabilities."""
    # In mixed precision, a softmax of half floats loses small probabilities.
    softmax = layers.Dense(classes, activation="softmax", dtype="float32")
    return keras.Sequential([keras.Input((features,)), layers.Dropout(dropout), softmax], name="head")


def pretrained(name: str, image_size: int, weights: str, seed: int) -> keras.Model:
    """The backbone of that name, see `backbones.build`, frozen and without dropout of its own.

    Random weights follow from the seed.
    """
    keras.utils.set_random_seed(seed)
    if weights == "none":
        print("Warning: --weights none: the backbone is random and has learnt nothing yet", flush=True)
    base = backbones.build(name, image_size, weights)
    backbones.unfreeze(base, "none")
    for layer in base.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    return base


def weights_place(weights: str) -> str:
    """`imagenet` and `none` as they are, and the path of a file: one in data/ goes before others."""
    if weights in ("imagenet", "none"):
        return weights
    ours = places.dataset(weights)
    return str(ours) if ours.is_file() else weights


def transfer(base: keras.Model, top: keras.Model, *, augment: bool) -> keras.Model:
    """`base` (as `pretrained` makes it) with its preprocessing before it and `top` on its features.

    The base answers in training as it does later, unfrozen or not: its normalisations stay frozen, and it has
    no dropout. `base(x, training=False)` would not do: Keras 3.15 replaces it by what `fit` says.
    """
    pixels = keras.Input(base.input_shape[1:], name="pixels")
    x = augmentation()(pixels) if augment else pixels
    x = backbone(base.name).preprocess(x)
    return keras.Model(pixels, top(base(x)), name=f"{base.name}_classifier")
