"""What projects of earlier versions call. Networks, `compile` and `fit` stand in a project's train.py now."""

from trainkit.keras import settings  # noqa: F401 (before keras)

# isort: split
import keras
from keras import layers

from trainkit.keras import backend as keras_backend
from trainkit.keras.architectures import backbone
from trainkit.keras.checkpoints import History
from trainkit.keras.training import OPTIMIZERS, Phase, Samples, Schedule


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


def transfer(base: keras.Model, top: keras.Model, *, augment: bool) -> keras.Model:
    """`base` (as `pretrained` makes it) with its preprocessing before it and `top` on its features."""
    pixels = keras.Input(base.input_shape[1:], name="pixels")
    x = augmentation()(pixels) if augment else pixels
    x = backbone(base.name).preprocess(x)
    return keras.Model(pixels, top(base(x)), name=f"{base.name}_classifier")


def compile_model(model: keras.Model, optimizer: str, learning_rate: float) -> None:
    """Make a classifier of integer labels ready to be trained; again after its layers were unfrozen."""
    model.compile(
        optimizer=OPTIMIZERS[optimizer](learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=keras_backend.of_process().JIT_COMPILE,
    )


def train(model: keras.Model, training: Samples, validation: Samples, schedule: Schedule) -> History:
    """Train a compiled model as `Phase` has it, and leave it with the weights of its best epoch."""
    phase = Phase(training, validation, schedule)
    model.fit(
        phase.batches,
        validation_data=phase.validation_batches,
        initial_epoch=phase.resume(model),
        epochs=schedule.last,
        callbacks=[phase],
        shuffle=False,
        verbose=0,
    )
    return phase.history
