"""A network written as a list of layers, trained on an image folder or a CSV file.

The launcher has made the run and logged its parameters; MLFLOW_TRACKING_URI and MLFLOW_RUN_ID lead there.
"""

# Setup

import shutil
from dataclasses import dataclass
from pathlib import Path

import mlflow
import torch
from trainkit import classification, figures, paths, regression
from trainkit.arguments import read_arguments
from trainkit.data import downloads, image_data, tables
from trainkit.data.image_data import ImageData
from trainkit.data.image_folder import TRAIN, VALIDATION
from trainkit.data.table import report
from trainkit.data.table.importance import log_importance
from trainkit.errors import show_input_errors
from trainkit.models import model_layers, warm_start
from trainkit.system_metrics import system_metrics
from trainkit.timing import timed
from trainkit.torch import data as torch_data
from trainkit.torch import export, training
from trainkit.torch import layers as torch_layers
from trainkit.torch import network as torch_network
from trainkit.torch.model import CLASSIFICATION, Model, outputs_needed


# CHANGE: parameters. A field for each one that the MLproject declares and hands over.
@dataclass(frozen=True)
class Arguments:
    data: str
    layers: Path
    image_size: int
    white: float
    target: str
    drop: str
    categorical: str
    impute: str
    categories: str
    loss: str
    optimizer: str
    learning_rate: float
    momentum: float
    batch_size: int
    epochs: int
    patience: int
    validation_split: float
    seed: int


show_input_errors()
args = read_arguments(Arguments)
device = training.prepare(args.seed)

with mlflow.start_run() as run, system_metrics():
    mlflow.set_tags({"torch.device": str(device), "torch.threads": str(torch.get_num_threads())})

    # Load
    # CHANGE: the data. --data names an image folder or a table; for anything else, load it here.

    with timed("load"):
        place = downloads.find(args.data, paths.cache())
        if place.is_dir():
            source = image_data.load(
                place, args.image_size, args.validation_split, args.seed, paths.cache(), args.white
            )
        else:
            source = tables.load(
                place,
                origin=args.data,
                target=args.target,
                drop=args.drop,
                categorical=args.categorical,
                impute=args.impute,
                categories=args.categories,
                classes=None if args.loss == "auto" else args.loss in CLASSIFICATION,
                validation_share=args.validation_split,
                seed=args.seed,
            )
        data = torch_data.of(source)
        print(source)
        if isinstance(source, ImageData):
            image_data.log_inputs(source)
        else:
            print(report.text(source))
            mlflow.log_dict(report.data(source), "columns.json")
            tables.log_inputs(source)

    # Build, checking every shape before the first step

    loss = args.loss
    if loss == "auto":
        loss = "CrossEntropyLoss" if data.class_names else "MSELoss"
    learnt = source.target if isinstance(source, tables.Table) else "the data"
    outputs = outputs_needed(loss, len(data.class_names), learnt)
    layers = args.layers
    if layers.is_dir():
        layers /= "cnn.yaml" if isinstance(source, ImageData) else "mlp.yaml"
    text = torch_layers.read(layers)
    network = torch_network.build(
        torch_layers.parse(text, outputs), data.input_shape, outputs, args.batch_size, data.categories
    )
    model = Model(network, loss, data.scale, data.target_scale).to(device)
    print(network.table())
    if model.remark:
        print(model.remark)
    mlflow.log_text(text, "layers.yaml")
    model_layers.log(network)
    warm_start.load(model, data.class_names, data.columns, data.categories)

    # Train, and keep the weights of the epoch with the lowest validation loss

    settings = training.Settings(
        optimizer=args.optimizer,
        learning_rate=args.learning_rate,
        momentum=args.momentum,
        batch_size=args.batch_size,
        epochs=args.epochs,
        patience=args.patience,
        seed=args.seed,
    )
    checkpoints = paths.cache() / "checkpoints" / run.info.run_id
    with timed("fit"):
        report = training.log_epoch(args.epochs)
        progress = training.fit(model, data.train, data.validation, settings, report, checkpoints)
    mlflow.log_metric("best_epoch", progress.best)

    # Evaluate; a folder of pictures may have a test split as well
    # CHANGE: the scores. What mlflow.log_metric is given can be compared between runs.

    with timed("evaluate"):
        for split in [name for name in data.splits if name != TRAIN]:
            scores = training.predict(model, data.splits[split], args.batch_size)
            answers = model.answers(scores.to(device)).cpu().numpy()
            truth = data.splits[split].target.numpy()
            part = source.parts[split] if isinstance(source, ImageData) else None
            if data.class_names:
                results = classification.log_results(truth, answers, data.class_names, split=split, part=part)
            else:
                results = regression.log_results(truth, answers[:, 0], source.target, split=split)
            if isinstance(source, tables.Table):
                mlflow.log_text(tables.predictions(source, split, answers), f"predictions_{split}.csv")
            print(*(f"{name} {value:.4f}" for name, value in results.items()), sep="\n")
        if isinstance(source, tables.Table):
            rows = source.splits[VALIDATION]
            predict = training.rows_predictor(model, data, args.batch_size)
            log_importance(predict, rows.features, rows.target, classes=bool(data.class_names))
        curves = figures.curves if data.class_names else regression.curves
        mlflow.log_figure(curves(progress.history, best=progress.best), "curves.png")

    # Log

    with timed("log_model"):
        export.log_model(model, data)
        export.log_preprocessing(data)
        export.log_weights(model, data, text)
        export.log_onnx(model, data)

    shutil.rmtree(checkpoints)
