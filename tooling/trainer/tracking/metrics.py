"""What the names of metrics say: which way is better, what is a time, and what a run is judged by."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Words that say which way is better. A name with none of them says nothing, as n_train.
_LOWER = {"error", "latency", "loss", "mae", "mape", "mse", "nll", "perplexity", "rmse", "seconds", "time"}
_HIGHER = {"acc", "accuracy", "auc", "bleu", "dice", "f1", "iou", "kappa", "map", "mcc", "precision", "r2",
           "recall", "rouge", "score"}  # fmt: skip
_TIMES = {"busy", "duration", "latency", "ms", "seconds", "throughput", "time"}
_SYSTEM = "system/"
TRAINING, VALIDATION = "training", "validation"
# The data that a model has seen least comes first.
_SPLITS = ("test", "validation", "val")
_MEASURED_ON = re.compile(r"(train|training|validation|val)[^a-z0-9]+(.+)", re.IGNORECASE)


def direction(metric: str) -> int:
    """1 where a higher value is better, -1 where a lower one is, 0 where the name does not say."""
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    if "per" in words and "second" in words:
        return 1
    return -1 if words & _LOWER else 1 if words & _HIGHER else 0


def is_time(metric: str) -> bool:
    """Whether the name says that it is a time or a speed: `fit_seconds`, `images_per_second`."""
    words = re.split(r"[^a-z0-9]+", metric.lower())
    return bool(_TIMES & set(words)) or ("per" in words and bool({"second", "sec", "s"} & set(words)))


def rank(metric: str) -> tuple[int, bool, str]:
    """A key to sort by: what a run is judged by comes first, times and `system/` last.

    That is test before validation before the rest, and in each of them what says how good a model is.
    """
    words = re.split(r"[^a-z0-9]+", metric.lower())
    if metric.startswith(_SYSTEM):
        place = len(_SPLITS) + 2
    elif is_time(metric):
        place = len(_SPLITS) + 1
    else:
        place = _SPLITS.index(words[0]) if words[0] in _SPLITS else len(_SPLITS)
    return place, not judges(metric), metric


def measured_on(metric: str) -> tuple[str, str]:
    """What is measured, and on what: `val_loss` is (`loss`, `validation`).

    A name that says neither training nor validation is of the training, as in Keras.
    """
    if not (found := _MEASURED_ON.fullmatch(metric)):
        return metric, TRAINING
    return found[2], TRAINING if found[1].lower().startswith("train") else VALIDATION


def is_held_out(metric: str) -> bool:
    """Whether the name begins with a split that no model learns from: `val_loss`, `test/f1`."""
    return re.split(r"[^a-z0-9]+", metric.lower())[0] in _SPLITS


def judges(metric: str) -> bool:
    """Whether it says how good a model is, and not how long something took."""
    return direction(metric) != 0 and not is_time(metric)


def shown(names: Iterable[str], primary: str | None = None) -> list[str]:
    """The names in order, the project's `primary_metric` first, without those of the machine."""
    own = (name for name in names if not name.startswith(_SYSTEM))
    return sorted(own, key=lambda name: (name != primary, rank(name)))
