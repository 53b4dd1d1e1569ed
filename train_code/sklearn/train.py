"""A model of tabular data: its columns made numbers, an estimator, and everything about the run in MLflow.

The launcher has made the run and logged its parameters; MLFLOW_TRACKING_URI and MLFLOW_RUN_ID lead there.
"""

# Setup

from dataclasses import dataclass
from importlib.metadata import version

import mlflow
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score
from sklearn.pipeline import make_pipeline
from trainkit import class_curves, figures, paths, regression
from trainkit.arguments import read_arguments
from trainkit.data import downloads, tables
from trainkit.data.image_folder import TRAIN, VALIDATION
from trainkit.data.table import preprocessing, report, target
from trainkit.data.table.importance import log_importance
from trainkit.errors import show_input_errors
from trainkit.models import model_layers, samples
from trainkit.seeding import seed_everything
from trainkit.timing import timed


# CHANGE: parameters. A field for each one that the MLproject declares and hands over.
@dataclass(frozen=True)
class Arguments:
    data: str
    target: str
    drop: str
    categorical: str
    impute: str
    task: str
    estimator: str
    n_estimators: int
    max_depth: int
    test_size: float
    seed: int


show_input_errors()
args = read_arguments(Arguments)
seed_everything(args.seed)

with mlflow.start_run():
    # Load, and split with the same share of each class on both sides
    # CHANGE: the data. --data names a CSV file; for anything else, write one here and load it.

    with timed("load"):
        table = tables.load(
            downloads.find(args.data, paths.cache()),
            origin=args.data,
            target=args.target,
            drop=args.drop,
            categorical=args.categorical,
            impute=args.impute,
            classes={"auto": None, "classification": True, "regression": False}[args.task],
            validation_share=args.test_size,
            seed=args.seed,
        )
        print(table)
        print(report.text(table))
        mlflow.log_dict(report.data(table), "columns.json")
        tables.log_inputs(table)
        train, test = table.splits[TRAIN], table.splits[VALIDATION]
        train_y, test_y = table.words(train.target), table.words(test.target)

    # Build
    # CHANGE: the model. Any estimator of scikit-learn; what it takes is numbers, scaled, without gaps.

    classes = table.class_names
    max_depth = args.max_depth or None
    match args.estimator:
        case "random_forest":
            forest = RandomForestClassifier if classes else RandomForestRegressor
            estimator = forest(args.n_estimators, max_depth=max_depth, random_state=args.seed)
        case "hist_gradient_boosting":
            boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
            estimator = boosting(max_iter=args.n_estimators, max_depth=max_depth, random_state=args.seed)
        case "logistic_regression" if classes:
            estimator = LogisticRegression(max_iter=1000)
            print("logistic_regression has no trees: --n-estimators and --max-depth change nothing")
        case "ridge" if not classes:
            estimator = Ridge()
            print("ridge has no trees: --n-estimators and --max-depth change nothing")
        case other:
            own = "logistic_regression" if classes else "ridge"
            fitting = ("random_forest", "hist_gradient_boosting", own)
            raise target.misfit("--estimator", other, table.target, len(classes), fitting)
    model = make_pipeline(preprocessing.transformer(table.columns, args.impute), estimator)
    model_layers.log(model)

    # Train

    with timed("fit"):
        model.fit(train.features, train_y)

    # Evaluate on the rows that were held back; "macro" is the plain mean over the classes
    # CHANGE: the scores. What mlflow.log_metric is given can be compared between runs.

    with timed("evaluate"):
        predicted = model.predict(test.features)
        if classes:
            answers = probabilities = model.predict_proba(test.features)
            precision, recall, f1, _ = precision_recall_fscore_support(
                test_y, predicted, average="macro", zero_division=0
            )
            scores = probabilities if len(classes) > 2 else probabilities[:, 1]
            results = {
                "accuracy": accuracy_score(test_y, predicted),
                "precision": precision,
                "recall": recall,
                "f1": f1,
                "roc_auc": roc_auc_score(test_y, scores, average="macro", multi_class="ovr"),
            }
            for file, figure in {
                "confusion_matrix": figures.confusion_matrix(test_y, predicted, classes),
                "roc_curve": class_curves.roc_curves(test_y, probabilities, classes),
                "precision_recall_curve": class_curves.precision_recall_curves(
                    test_y, probabilities, classes
                ),
                "calibration_curve": class_curves.calibration_curve(test_y, probabilities, classes),
            }.items():
                mlflow.log_figure(figure, f"{file}.png")
        else:
            answers = predicted[:, None]
            results = regression.scores(test_y, predicted)
            for file, figure in {
                "predicted_against_true": regression.predicted_against_true,
                "residuals": regression.residuals,
            }.items():
                mlflow.log_figure(figure(test_y, predicted, table.target), f"{file}.png")
        mlflow.log_metrics(results)
        mlflow.log_text(tables.predictions(table, VALIDATION, answers), "predictions_validation.csv")
        log_importance(model.predict, test.features, test_y, classes=bool(classes))

    # Log

    with timed("log_model"):
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=preprocessing.signature(test.features, predicted),
            input_example=test.features.head(3),
            # Given, because working them out takes MLflow longer than the training.
            pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "pandas", "skops")],
            # skops stores data where pickle stores code; here: compiled trees of scikit-learn, and what
            # makes numbers of dates.
            serialization_format="skops",
            skops_trusted_types=[
                "sklearn.tree._tree.Tree",
                "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
                *preprocessing.SKOPS_TYPES,
            ],
        )
        # What `trainer models register` compares the model with when it exports it.
        answer = model.predict_proba if classes else model.predict
        samples.log_rows(table, answer(samples.rows_of(table)))

    print(*(f"{name} {value:.4f}" for name, value in results.items()), sep="\n")
