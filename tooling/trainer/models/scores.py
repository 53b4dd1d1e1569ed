"""What models are compared by: a score of answers to samples, as scikit-learn defines it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OfClasses = Literal["accuracy", "balanced_accuracy", "f1", "log_loss", "roc_auc"]
OfQuantities = Literal["rmse", "mae", "r2"]
ScoreName = OfClasses | OfQuantities
_LOWER_IS_BETTER = ("log_loss", "rmse", "mae")
MLFLOW_NAMES: Mapping[ScoreName, str] = {
    "accuracy": "accuracy_score", "f1": "f1_score", "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error", "r2": "r2_score",
}  # fmt: skip
"""What MLflow's evaluator calls those that it computes of labels and quantities."""
_SPLIT = re.compile(r"(train|val|validation|test)_")


def named(metric: str, *, classes: bool) -> ScoreName:
    """The score that a metric of a run is, whatever split it is of: `val_accuracy` is the accuracy.

    Raises `InvalidInput` for one that a model of this kind does not have.
    """
    known: tuple[ScoreName, ...] = get_args(OfClasses if classes else OfQuantities)
    name = _SPLIT.sub("", metric, count=1)
    for score_name in known:
        if name == score_name:
            return score_name
    kind = "classes" if classes else "a quantity"
    raise InvalidInput(f"Models that answer with {kind} are not compared by {metric}.",
                       nearest(name, known, "They are by"))  # fmt: skip


def gain(name: ScoreName, before: float, after: float) -> float:
    """How much better the second value is; negative where it is worse."""
    return before - after if name in _LOWER_IS_BETTER else after - before


def score(name: ScoreName, truth: NDArray[np.generic], answers: NDArray[np.float64]) -> float:
    """The score of answers: (n, classes) probabilities to the numbers of classes, or (n,) quantities.

    As scikit-learn defines them, whose own functions check their input each time, thousands of times in a
    test. f1 is the plain mean over the classes that are there or predicted, roc_auc that of each class
    against the rest; it is NaN where the samples have one class alone.
    """
    import numpy as np

    if answers.ndim == 1:
        errors = answers - truth.astype(np.float64)
        match name:
            case "mae":
                return float(np.abs(errors).mean())
            case "r2":
                return float(1 - (errors**2).sum() / ((truth - truth.mean()) ** 2).sum())
        return float(np.sqrt((errors**2).mean()))
    match name:
        case "log_loss":
            shares = answers[np.arange(len(truth)), truth.astype(int)] / answers.sum(axis=1)
            return float(-np.log(shares.clip(np.finfo(answers.dtype).eps)).mean())
        case "roc_auc":
            return _roc_auc(truth, answers)
    classes, predicted = answers.shape[1], answers.argmax(axis=1)
    right = np.bincount(predicted[predicted == truth], minlength=classes)
    support, guesses = (np.bincount(each.astype(int), minlength=classes) for each in (truth, predicted))
    match name:
        case "balanced_accuracy":
            return float((right / np.maximum(support, 1))[support > 0].mean())
        case "f1":
            seen = support + guesses
            return float((2 * right / np.maximum(seen, 1))[seen > 0].mean())
    return float(right.sum() / len(truth))


def _roc_auc(truth: NDArray[np.generic], answers: NDArray[np.float64]) -> float:
    """By ranks: the share of pairs of a sample of the class and one of another that are in order."""
    import numpy as np
    from scipy.stats import rankdata

    present = np.unique(truth)
    if len(present) < 2:
        return float("nan")
    areas = []
    for label in present if answers.shape[1] > 2 else [1]:
        own = truth == label
        count = own.sum()
        ranks = rankdata(answers[:, int(label)])[own].sum() - count * (count + 1) / 2
        areas.append(ranks / (count * (len(truth) - count)))
    return float(np.mean(areas))
