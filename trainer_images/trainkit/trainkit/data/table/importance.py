"""Permutation importance: how much worse a model becomes when a column is shuffled."""

import time
from collections.abc import Callable

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, r2_score

from trainkit.figures import INK, short

_MOST_ROWS = 1000
_REPEATS = 5
_MOST_SHUFFLES = 100
_MOST_SECONDS = 60
_MOST_BARS = 20

Predict = Callable[[pd.DataFrame], NDArray[np.generic]]
"""Takes rows of raw features and gives their classes, or their quantities."""


def log_importance(
    predict: Predict, features: pd.DataFrame, truth: NDArray[np.generic], *, classes: bool
) -> None:
    """Log `permutation_importance.png` and `.csv` of rows that the model was not trained on.

    By how much the accuracy drops, for a quantity R². It is left out, with a word, where it would take more
    than a minute.
    """
    found = permutation_importance(predict, features, truth, classes=classes)
    if found is None:
        print("permutation importance left out: it would take more than a minute", flush=True)
        return
    mlflow.log_text(found.to_csv(index=False, float_format="%.6g"), "permutation_importance.csv")
    mlflow.log_figure(figure(found, "accuracy" if classes else "R²"), "permutation_importance.png")


def permutation_importance(
    predict: Predict, features: pd.DataFrame, truth: NDArray[np.generic], *, classes: bool
) -> pd.DataFrame | None:
    """By `column`, the `importance` and its deviation `std`, the highest first.

    At most 1,000 rows are used, five times for each column, of many columns less often. None where that would
    take more than a minute.
    """
    generator = np.random.default_rng(0)
    if len(features) > _MOST_ROWS:
        chosen = np.sort(generator.choice(len(features), _MOST_ROWS, replace=False))
        features, truth = features.iloc[chosen], truth[chosen]
    measure = accuracy_score if classes else r2_score
    start = time.perf_counter()
    whole = measure(truth, predict(features))
    repeats = max(1, min(_REPEATS, _MOST_SHUFFLES // len(features.columns)))
    if (time.perf_counter() - start) * repeats * len(features.columns) > _MOST_SECONDS:
        return None
    rows = []
    for column in features:
        orders = [generator.permutation(len(features)) for _ in range(repeats)]
        shuffled = [features.assign(**{str(column): features[column].to_numpy()[order]}) for order in orders]
        # At once, since each call of a forest has a cost of its own.
        answers = np.split(predict(pd.concat(shuffled, ignore_index=True)), repeats)
        drops = [whole - measure(truth, answer) for answer in answers]
        rows.append((column, float(np.mean(drops)), float(np.std(drops))))
    found = pd.DataFrame(rows, columns=["column", "importance", "std"])
    return found.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def figure(importance: pd.DataFrame, what: str) -> Figure:
    """A bar for each column, of many for the 20 most important ones. `what` is the score that drops."""
    shown = importance.head(_MOST_BARS)[::-1]
    drawn = Figure(figsize=(7.4, 1.4 + 0.3 * len(shown)), dpi=150, layout="constrained")
    axes = drawn.add_subplot()
    names = [short(str(name), 30) for name in shown["column"]]
    positions = range(len(shown))
    axes.barh(positions, shown["importance"], xerr=shown["std"], color="#9ecae1", ecolor="#666666")
    axes.set_yticks(positions, names)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.axvline(0, color="#999999", lw=1)
    axes.set_xlabel(f"drop of the {what} when the column is shuffled")
    rest = len(importance) - len(shown)
    title = (
        f"Permutation importance{f': the first {len(shown)} of {len(importance)} columns' if rest else ''}"
    )
    axes.set_title(title, color=INK)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return drawn
