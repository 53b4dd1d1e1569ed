"""A small convolutional network learns an image folder from scratch, with everything about the run in MLflow.

The launcher has made the run and logged its parameters; MLFLOW_TRACKING_URI and MLFLOW_RUN_ID lead there.
"""

# Setup

from dataclasses import dataclass

import mlflow
from trainkit import figures, paths
from trainkit.arguments import read_arguments
from trainkit.data import image_data
from trainkit.errors import show_input_errors
from trainkit.keras import backend, training
from trainkit.models import model_layers, warm_start
from trainkit.system_metrics import system_metrics
from trainkit.timing import timed

# isort: split
import keras  # after trainkit, which says where Keras keeps its files
from keras import layers


# CHANGE: parameters. A field for each one that the MLproject declares and hands over.
@dataclass(frozen=True)
class Arguments:
    data: str
    epochs: int
    batch_size: int
    learning_rate: float
    image_size: int
    white: float
    optimizer: str
    augment: str
    class_weights: str
    mixed_precision: str
    validation_split: float
    patience: int
    seed: int


# CHANGE: the network. Any Keras model from pixels of 0 … 255 to a probability a class.
def build_model(image_size: int, class_count: int, *, augment: bool) -> keras.Model:
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    x = pixels
    if augment:
        changes = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.1)]
        x = keras.Sequential(changes, name="augmentation")(x)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    for filters in (32, 64, 128, 128):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        # Means of a batch take hundreds of steps to settle; a small dataset has ten an epoch.
        x = layers.GroupNormalization(groups=8)(x)
        x = layers.MaxPooling2D()(layers.ReLU()(x))
    # In mixed precision, a softmax of half floats loses small probabilities.
    softmax = layers.Dense(class_count, activation="softmax", dtype="float32")
    head = keras.Sequential([keras.Input((128,)), layers.Dropout(0.2), softmax], name="head")
    return keras.Model(pixels, head(layers.GlobalAveragePooling2D()(x)), name="small_cnn")


def main() -> None:
    show_input_errors()
    args = read_arguments(Arguments)
    with mlflow.start_run(), system_metrics():
        training.setup(args.seed, args.mixed_precision)

        # Load
        # CHANGE: the data. --data names an image folder; for anything else, load it here.

        with timed("load"):
            data = image_data.load(
                paths.dataset(args.data),
                args.image_size,
                args.validation_split,
                args.seed,
                paths.cache(),
                args.white,
            )
            print(data)
            image_data.log_inputs(data)
        weights = training.class_weights(data, args.class_weights)

        # Build

        model = build_model(args.image_size, len(data.class_names), augment=args.augment == "yes")
        model.compile(
            optimizer=training.OPTIMIZERS[args.optimizer](args.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=backend.of_process().JIT_COMPILE,
        )
        model_layers.log(model)
        warm_start.load(model, data.class_names)

        # Train

        with timed("fit"):
            phase = training.Phase(
                training.samples(data.train, weights),
                training.samples(data.validation),
                training.Schedule(args.epochs, args.batch_size, args.patience, args.seed),
            )
            model.fit(
                phase.batches,
                validation_data=phase.validation_batches,
                initial_epoch=phase.resume(model),
                epochs=args.epochs,
                callbacks=[phase],
                shuffle=False,  # the phase has an order for each epoch
                verbose=0,
            )
            history = phase.history
            mlflow.log_figure(figures.curves(history.epochs, best=history.best), "curves.png")

        # Evaluate, with the weights of the best epoch
        # CHANGE: the scores. What mlflow.log_metric is given can be compared between runs.

        with timed("evaluate"):
            results = training.evaluate(model, data, args.batch_size)

        # Log

        with timed("log_model"):
            training.log_model(model, data)

        print(*(f"{name} {value:.4f}" for name, value in results.items()), sep="\n")


if __name__ == "__main__":
    main()
