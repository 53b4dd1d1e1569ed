"""A small convolutional network learns an image folder from scratch, with everything about the run in MLflow.

The launcher has made the run and logged its parameters; MLFLOW_TRACKING_URI and MLFLOW_RUN_ID lead there.
"""

# Setup

from dataclasses import dataclass

import mlflow
from trainkit import figures, places
from trainkit.arguments import read_arguments
from trainkit.data import image_data
from trainkit.errors import show_input_errors
from trainkit.keras import models, training
from trainkit.system_metrics import system_metrics
from trainkit.timing import timed


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


show_input_errors()
args = read_arguments(Arguments)

with mlflow.start_run(), system_metrics():
    training.setup(args.seed, args.mixed_precision)

    # Load
    # CHANGE: the data. --data names an image folder; for anything else, load it here.

    with timed("load"):
        data = image_data.load(
            places.dataset(args.data),
            args.image_size,
            args.validation_split,
            args.seed,
            places.cache(),
            args.white,
        )
        print(data)
        image_data.log_inputs(data)
    weights = training.class_weights(data, args.class_weights)

    # Build
    # CHANGE: the network. Any Keras model from pixels of 0 … 255 to a probability a class.

    model = models.small_cnn(args.image_size, len(data.class_names), augment=args.augment == "yes")
    training.compile_model(model, args.optimizer, args.learning_rate)
    print(f"{model.name}: {model.count_params():,} parameters")

    # Train

    with timed("fit"):
        history = training.train(
            model,
            training.samples(data.train, weights),
            training.samples(data.validation),
            training.Schedule(args.epochs, args.batch_size, args.patience, args.seed),
        )
        mlflow.log_figure(figures.curves(history.epochs, best=history.best), "curves.png")

    # Evaluate, with the weights of the best epoch
    # CHANGE: the scores. What mlflow.log_metric is given can be compared between runs.

    with timed("evaluate"):
        results = training.evaluate(model, data, args.batch_size)

    # Log

    with timed("log_model"):
        training.log_model(model, data)

    print("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
