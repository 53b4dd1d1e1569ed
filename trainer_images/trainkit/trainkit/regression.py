"""How good the predictions of a quantity are: metrics and figures, logged to the active MLflow run."""

from collections.abc import Mapping, Sequence

import mlflow
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

from trainkit.figures import INK

_UNITS = {"loss": "loss", "mae": "mean absolute error"}


def log_results(truth: ArrayLike, predicted: ArrayLike, target: str, *, split: str) -> dict[str, float]:
    """Log the metrics, named `SPLIT_…`, `predicted_against_true.png` and `residuals.png`; return the metrics.

    `truth` and `predicted` are (n,), in the units of `target`.
    """
    true, guessed = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    metrics = {f"{split}_{name}": value for name, value in scores(true, guessed).items()}
    mlflow.log_metrics(metrics)
    mlflow.log_figure(predicted_against_true(true, guessed, target), "predicted_against_true.png")
    mlflow.log_figure(residuals(true, guessed, target), "residuals.png")
    return metrics


def scores(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Mean absolute error, root mean square error, and R² (1 is perfect, 0 no better than the mean)."""
    return {
        "mae": float(metrics.mean_absolute_error(true, predicted)),
        "rmse": float(metrics.root_mean_squared_error(true, predicted)),
        "r2": float(metrics.r2_score(true, predicted)),
    }


def predicted_against_true(true: NDArray[np.float64], predicted: NDArray[np.float64], target: str) -> Figure:
    """A dot a sample; on the diagonal the prediction is right."""
    figure = Figure(figsize=(5.6, 5.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    margin = 0.04 * (high - low or 1)
    limits = low - margin, high + margin
    axes.plot(limits, limits, color="#bbbbbb", lw=1, ls=":")
    axes.scatter(true, predicted, s=14, color="#1f77b4", alpha=0.5, linewidths=0)
    metrics = scores(true, predicted)
    axes.set(xlim=limits, ylim=limits, xlabel=f"true {target}", ylabel=f"predicted {target}")
    axes.set_title(f"R² {metrics['r2']:.3f}, mean absolute error {metrics['mae']:.4g}", color=INK)
    axes.set_aspect("equal")
    axes.grid(color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def residuals(true: NDArray[np.float64], predicted: NDArray[np.float64], target: str) -> Figure:
    """What predictions are off by, against the predictions and how often; around 0 in a good model."""
    figure = Figure(figsize=(9, 4.4), dpi=150, layout="constrained")
    errors = predicted - true
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    axes.scatter(predicted, errors, s=14, color="#1f77b4", alpha=0.5, linewidths=0)
    axes.set(xlabel=f"predicted {target}", ylabel="predicted - true")
    axes.set_title(f"Residuals: {errors.mean():+.3g} on average, deviation {errors.std():.3g}", color=INK)
    beside.hist(errors, bins=30, orientation="horizontal", color="#9ecae1")
    beside.set(xlabel="samples")
    for panel in (axes, beside):
        panel.axhline(0, color="#999999", lw=1, ls=":")
        panel.grid(color="#eeeeee")
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def curves(history: Sequence[Mapping[str, float]], best: int) -> Figure:
    """`loss` and `mae` by epoch, of training and validation; `best` is the epoch whose weights are kept."""
    figure = Figure(figsize=(11, 4.4), dpi=150, layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, (quantity, title) in zip(figure.subplots(1, 2), _UNITS.items(), strict=True):
        for prefix, name, color in (("", "training", "#7f7f7f"), ("val_", "validation", "#1f77b4")):
            values = [epoch[prefix + quantity] for epoch in history]
            axes.plot(epochs, values, color=color, lw=1.8, marker="o", ms=3, label=name)
        axes.set_axisbelow(True)
        axes.axvline(best, color="#2ca02c", lw=1, ls=(0, (4, 3)), zorder=1.5, label=f"kept: epoch {best}")
        axes.set(xlabel="epoch", title=title, xlim=(0.5, len(history) + 0.5))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="#eeeeee")
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", framealpha=1)
    return figure
