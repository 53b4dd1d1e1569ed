"""A classifier on tabular data: a scaler, an estimator, and everything about the run in MLflow.

The launcher has made the run and logged its parameters; MLFLOW_TRACKING_URI and MLFLOW_RUN_ID lead there.
"""

# Setup

from dataclasses import dataclass
from importlib.metadata import version

import mlflow
from mlflow.models import infer_signature
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainkit import model_layers
from trainkit.arguments import read_arguments
from trainkit.data.datasets import load_bundled, mlflow_input
from trainkit.figures import confusion_matrix, roc_curves
from trainkit.seeding import seed_everything
from trainkit.timing import timed


# CHANGE: parameters. A field for each one that the MLproject declares and hands over.
@dataclass(frozen=True)
class Arguments:
    dataset: str
    estimator: str
    n_estimators: int
    max_depth: int
    test_size: float
    seed: int


args = read_arguments(Arguments)
seed_everything(args.seed)

with mlflow.start_run():
    # Load
    # CHANGE: the data. Any table: features, one row a sample, and the class of each row.

    with timed("load"):
        table = load_bundled(args.dataset)
        print(table)
        mlflow.log_input(mlflow_input(table), context="training")

    # Split, with the same share of each class on both sides

    with timed("split"):
        train_x, test_x, train_y, test_y = train_test_split(
            table.features,
            table.target,
            test_size=args.test_size,
            stratify=table.target,
            random_state=args.seed,
        )

    # Build
    # CHANGE: the model. Any estimator or pipeline of scikit-learn.

    max_depth = args.max_depth or None
    match args.estimator:
        case "random_forest":
            estimator = RandomForestClassifier(args.n_estimators, max_depth=max_depth, random_state=args.seed)
        case "hist_gradient_boosting":
            estimator = HistGradientBoostingClassifier(
                max_iter=args.n_estimators, max_depth=max_depth, random_state=args.seed
            )
        case "logistic_regression":
            estimator = LogisticRegression(max_iter=1000)
            print("logistic_regression has no trees: --n-estimators and --max-depth change nothing")
        case unknown:
            raise SystemExit(f"unknown estimator: {unknown}")
    model = make_pipeline(StandardScaler(), estimator)
    model_layers.log(model)

    # Train

    with timed("fit"):
        model.fit(train_x, train_y)

    # Evaluate; "macro" is the plain mean over the classes
    # CHANGE: the scores. What mlflow.log_metric is given can be compared between runs.

    with timed("evaluate"):
        predicted, probabilities = model.predict(test_x), model.predict_proba(test_x)
        precision, recall, f1, _ = precision_recall_fscore_support(
            test_y, predicted, average="macro", zero_division=0
        )
        scores = probabilities if len(table.class_names) > 2 else probabilities[:, 1]
        results = {
            "accuracy": accuracy_score(test_y, predicted),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "roc_auc": roc_auc_score(test_y, scores, average="macro", multi_class="ovr"),
        }
        mlflow.log_metrics(results)
        mlflow.log_figure(confusion_matrix(test_y, predicted, table.class_names), "confusion_matrix.png")
        mlflow.log_figure(roc_curves(test_y, probabilities, table.class_names), "roc_curve.png")

    # Log

    with timed("log_model"):
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(test_x, test_y),
            input_example=test_x.head(3),
            # Given, because working them out takes MLflow longer than the training.
            pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "pandas", "skops")],
            # skops stores data where pickle stores code; these two are scikit-learn's own compiled trees.
            serialization_format="skops",
            skops_trusted_types=[
                "sklearn.tree._tree.Tree",
                "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            ],
        )

    print("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
