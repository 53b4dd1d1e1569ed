"""A new classifier on a pretrained backbone: head first, then the last blocks too, at a tenth of the rate.

The launcher has made the run and logged its parameters; MLFLOW_TRACKING_URI and MLFLOW_RUN_ID lead there.
"""

# Setup

from dataclasses import dataclass, replace

import mlflow
from trainkit import figures, paths
from trainkit.arguments import read_arguments
from trainkit.data import image_data
from trainkit.errors import show_input_errors
from trainkit.keras import architectures, backbones, backend, feature_cache, models, training
from trainkit.keras.checkpoints import History, joined
from trainkit.keras.training import Samples, Schedule
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
    backbone: str
    weights: str
    image_size: int
    white: float
    epochs: int
    fine_tune_epochs: int
    unfreeze_from: str
    batch_size: int
    learning_rate: float
    dropout: float
    optimizer: str
    augment: str
    class_weights: str
    mixed_precision: str
    validation_split: float
    patience: int
    seed: int


# CHANGE: the head. Any Keras model from the backbone's features to a probability a class.
def build_model(base: keras.Model, class_count: int, dropout: float, *, augment: bool) -> keras.Model:
    # In mixed precision, a softmax of half floats loses small probabilities.
    softmax = layers.Dense(class_count, activation="softmax", dtype="float32")
    features = keras.Input(base.output_shape[1:])
    head = keras.Sequential([features, layers.Dropout(dropout), softmax], name="head")

    pixels = keras.Input(base.input_shape[1:], name="pixels")
    x = pixels
    if augment:
        changes = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.1)]
        x = keras.Sequential(changes, name="augmentation")(x)
    x = architectures.backbone(base.name).preprocess(x)
    return keras.Model(pixels, head(base(x)), name=f"{base.name}_classifier")


def compile_model(model: keras.Model, optimizer: str, learning_rate: float) -> None:
    model.compile(
        optimizer=training.OPTIMIZERS[optimizer](learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=backend.of_process().JIT_COMPILE,
    )


def fit(model: keras.Model, samples: tuple[Samples, Samples], schedule: Schedule) -> History:
    phase = training.Phase(*samples, schedule)
    model.fit(
        phase.batches,
        validation_data=phase.validation_batches,
        initial_epoch=phase.resume(model),
        epochs=schedule.last,
        callbacks=[phase],
        shuffle=False,  # the phase has an order for each epoch
        verbose=0,
    )
    return phase.history


def main() -> None:
    show_input_errors()
    args = read_arguments(Arguments)
    architectures.check(args.backbone, args.image_size, args.unfreeze_from)

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
        class_weights = training.class_weights(data, args.class_weights)
        pictures = (
            training.samples(data.train, class_weights),
            training.samples(data.validation),
        )

        # Build

        with timed("build"):
            weights = models.weights_path(args.weights)
            base = models.pretrained(args.backbone, args.image_size, weights, args.seed)
            augment = args.augment == "yes"
            model = build_model(base, len(data.class_names), args.dropout, augment=augment)
            model_layers.log(model)
            warm_start.load(model, data.class_names)

        # Train the head, on features that are computed once; augmented pictures are new ones in each epoch

        schedule = training.Schedule(args.epochs, args.batch_size, args.patience, args.seed, "head")
        with timed("head"):
            if augment:
                print("--augment yes: the features change in every epoch, so none are taken from the cache")
                learner, samples = model, pictures
            else:
                origin = feature_cache.weights_key(args.backbone, weights, args.seed)
                features = feature_cache.load(base, origin, data, paths.cache())
                learner, samples = model.get_layer("head"), features.both(data, class_weights)
            compile_model(learner, args.optimizer, args.learning_rate)
            history = fit(learner, samples, schedule)

        # Train the last blocks with it, carefully
        # CHANGE: the fine-tuning. What is unfrozen, and how much slower it learns.

        phases = {"head": history.first}
        if args.unfreeze_from != "none" and args.fine_tune_epochs:
            with timed("fine_tuning"):
                before = model.get_weights()
                first = backbones.unfreeze(base, args.unfreeze_from)
                compile_model(model, args.optimizer, args.learning_rate / 10)
                print(f"fine-tuning: layers {first} to {len(base.layers) - 1} of {base.name} and the head")
                phases["fine-tuning"] = history.last + 1
                tuned = fit(
                    model,
                    pictures,
                    replace(
                        schedule, epochs=args.fine_tune_epochs, phase="fine-tuning", first=history.last + 1
                    ),
                )
                history = joined(history, tuned)
                if history.best < tuned.first:
                    print(
                        f"fine-tuning brought no lower val_loss: the weights of epoch {history.best} are kept"
                    )
                    model.set_weights(before)
        mlflow.log_figure(figures.curves(history.epochs, phases, history.best), "curves.png")

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
