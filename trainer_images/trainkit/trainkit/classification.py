"""How good a classifier is on one split: its metrics, figures and tables, logged to the active MLflow run.

It takes arrays alone, so it is the same whatever framework they come from.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import mlflow
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

from trainkit import class_curves, figures
from trainkit.data.image_data import Part
from trainkit.data.image_folder import VALIDATION
from trainkit.errors import InputError

MISTAKES_SHOWN = 12


@dataclass(frozen=True)
class ClassScores:
    """One class against the rest. `support` is its number of samples; without any, recall and f1 are 0."""

    precision: float
    recall: float
    f1: float
    support: int


def log_results(
    truth: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    *,
    split: str,
    part: Part | None = None,
) -> dict[str, float]:
    """Log everything about the predictions of a split; return its metrics, named `SPLIT_…`.

    `truth` is (n,), the classes' numbers; `probabilities` is (n, classes). `part` are the images they belong
    to: with it, the worst mistakes are shown and each prediction is listed by its path. Figures of the
    validation split have plain names (`confusion_matrix.png`), others end in the split. Raises `InputError`
    for probabilities that are not finite.
    """
    labels, shares = _checked(truth, probabilities, class_names)
    values = {f"{split}_{name}": value for name, value in scores(labels, shares).items()}
    per_class = class_scores(labels, shares, class_names)
    mlflow.log_metrics(values)
    report = {
        "split": split,
        "samples": len(labels),
        "metrics": values,
        "classes": {name: asdict(values) for name, values in per_class.items()},
    }
    mlflow.log_dict(report, f"report_{split}.json")
    mlflow.log_text(_report_table(per_class), f"report_{split}.csv")
    _log_figures(labels, shares, class_names, "" if split == VALIDATION else f"_{split}", part)
    if part is not None:
        mlflow.log_text(_predictions_table(labels, shares, class_names, part), f"predictions_{split}.csv")
    absent = [name for name, values in per_class.items() if not values.support]
    if absent:
        have = "class has" if len(absent) == 1 else "classes have"
        print(f"Warning: {len(absent)} {have} no samples in {split}: {', '.join(absent[:3])}", flush=True)
    return values


def scores(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1 and log loss; with more than four classes also top-3 accuracy.

    As scikit-learn has them: macro F1 is over the classes that have samples or are predicted, balanced
    accuracy over those that have samples.
    """
    predicted = probabilities.argmax(axis=1)
    classes = np.arange(probabilities.shape[1])
    recall = metrics.recall_score(
        labels, predicted, labels=np.unique(labels), average="macro", zero_division=0
    )
    values = {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(recall),
        "f1": float(metrics.f1_score(labels, predicted, average="macro", zero_division=0)),
        "log_loss": float(metrics.log_loss(labels, probabilities, labels=classes)),
    }
    if len(classes) > 4:
        values["top3_accuracy"] = float(
            metrics.top_k_accuracy_score(labels, probabilities, k=3, labels=classes)
        )
    return values


def class_scores(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], class_names: Sequence[str]
) -> dict[str, ClassScores]:
    """Class name → its scores, for every class."""
    columns = metrics.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(len(class_names)), zero_division=0
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {name: ClassScores(*row) for name, row in zip(class_names, rows, strict=True)}


def worst_mistakes(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the samples whose wrong class got the highest probabilities, the surest mistake first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    surest_first = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[surest_first][:MISTAKES_SHOWN]


def _checked(
    truth: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    labels, shares = np.asarray(truth, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    if shares.shape != (len(labels), len(class_names)) or not len(labels):
        raise ValueError(f"{len(labels)} samples and {len(class_names)} classes, but {shares.shape} scores")
    if not np.isfinite(shares).all():
        raise InputError(
            "The model's answers are no finite numbers: the training has diverged.",
            "Try a lower learning rate.",
        )
    # A sum of float32 is 1 to seven digits only.
    return labels, shares / shares.sum(axis=1, keepdims=True)


def _log_figures(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    class_names: Sequence[str],
    suffix: str,
    part: Part | None,
) -> None:
    names = np.asarray(class_names)
    predicted = probabilities.argmax(axis=1)
    matrix = figures.confusion_matrix(names[labels], names[predicted], class_names)
    mlflow.log_figure(matrix, f"confusion_matrix{suffix}.png")
    for file, figure in (
        ("roc_curve", class_curves.roc_curves),
        ("precision_recall_curve", class_curves.precision_recall_curves),
        ("calibration_curve", class_curves.calibration_curve),
    ):
        mlflow.log_figure(figure(names[labels], probabilities, class_names), f"{file}{suffix}.png")
    if part is not None:
        worst = worst_mistakes(labels, probabilities)
        mistakes = [
            figures.Mistake(
                picture, class_names[labels[i]], class_names[predicted[i]], probabilities[i].max()
            )
            for i, picture in zip(worst, part.pixels(worst), strict=True)
        ]
        number = int((predicted != labels).sum())
        shown = figures.worst_mistakes(mistakes, wrong=number, total=len(labels))
        mlflow.log_figure(shown, f"worst_mistakes{suffix}.png")


def _report_table(per_class: Mapping[str, ClassScores]) -> str:
    header = ("class", "precision", "recall", "f1", "support")
    rows = [
        (name, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", s.support)
        for name, s in per_class.items()
    ]
    return _csv([header, *rows])


def _predictions_table(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], class_names: Sequence[str], part: Part
) -> str:
    header = ("path", "true", "predicted", "probability")
    predicted = probabilities.argmax(axis=1)
    rows = [
        (str(image.path), class_names[label], class_names[guess], f"{row[guess]:.4f}")
        for image, label, guess, row in zip(part.images, labels, predicted, probabilities, strict=True)
    ]
    return _csv([header, *rows])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
