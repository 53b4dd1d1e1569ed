"""Figures of a classifier's results.

They are plain Figure objects: pyplot keeps every figure alive in a global list, and needs a backend.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

INK = "#333333"


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Counts of true (rows) against predicted classes (columns), shaded by the share of the row."""
    counts = metrics.confusion_matrix(truth, predicted, labels=class_names)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    size = len(class_names)
    side = 3.2 + 0.42 * size
    figure = Figure(figsize=(side + 0.6, side), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        shade = "white" if shares[row, column] > 0.5 else INK if count else "#bbbbbb"
        axes.text(column, row, str(count), ha="center", va="center", color=shade)
    crowded = size > 4 and max(map(len, class_names)) > 4
    axes.set_xticks(range(size), class_names, rotation=90 if crowded else 0)
    axes.set_yticks(range(size), class_names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    right = np.trace(counts)
    axes.set_title(f"{right} of {counts.sum()} right ({right / counts.sum():.1%})", color=INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format="{x:.0%}", label="share of the true class")
    bar.outline.set_visible(False)
    return figure


def roc_curves(truth: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]) -> Figure:
    """One curve a class against the rest, with their macro average; for two classes, the second's alone.

    `probabilities` has a column for each of `class_names`, in that order.
    """
    labels, scores = np.asarray(truth), np.asarray(probabilities)
    shown = range(len(class_names)) if len(class_names) > 2 else [1]
    curves = {class_names[i]: metrics.roc_curve(labels == class_names[i], scores[:, i])[:2] for i in shown}
    figure = Figure(figsize=(11, 5.6), dpi=150, layout="constrained")
    # Good classifiers crowd into the top left corner, so it is drawn a second time, enlarged.
    whole, corner = figure.subplots(1, 2)
    for axes in (whole, corner):
        _draw_curves(axes, curves)
    whole.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    whole.set_ylabel("true positive rate")
    whole.set_title("ROC curve", color=INK)
    whole.legend(loc="lower right", title="area under the curve", fontsize="small", framealpha=1)
    corner.set(xlim=(-0.002, 0.202), ylim=(0.798, 1.002))
    corner.locator_params(nbins=5)
    corner.set_title("its top left corner, enlarged", color=INK)
    return figure


def _draw_curves(axes: Axes, curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
    palette = colormaps["tab10"] if len(curves) <= 10 else colormaps["turbo"].resampled(len(curves))
    for position, (name, (false_rate, true_rate)) in enumerate(curves.items()):
        area = metrics.auc(false_rate, true_rate)
        axes.plot(false_rate, true_rate, color=palette(position), lw=1.5, label=f"{name}  {area:.4f}")
    if len(curves) > 1:
        grid = np.unique(np.concatenate([false_rate for false_rate, _ in curves.values()]))
        mean = np.mean([np.interp(grid, *curve) for curve in curves.values()], axis=0)
        label = f"macro average  {metrics.auc(grid, mean):.4f}"
        axes.plot([0, *grid], [0, *mean], color="black", lw=2, ls=(0, (2, 1)), label=label)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=1, ls=":", label="chance  0.5")
    axes.set_xlabel("false positive rate")
    axes.set_aspect("equal")
    axes.grid(color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
