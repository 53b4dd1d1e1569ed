"""Curves of a classifier's probabilities: ROC, precision and recall, calibration.

They take the true class names, (n,), and probabilities with a column for each of `class_names`, in its order.
They are plain Figure objects: pyplot keeps every figure alive in a global list, and needs a backend.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

from trainkit.figures import INK, short

MOST_CURVES = 20
"""With more classes the curves are thin, and only their average is named."""
# With areas between these, all curves pass through the corner that is drawn a second time, enlarged.
_GOOD_AREA, _PERFECT_AREA = 0.95, 0.9999
# Of a panel, in inches.
_SIDE = 5.4
_BINS = 10
_ROWS_OF_A_BIN = 10

_Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def roc_curves(truth: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]) -> Figure:
    """One curve a class against the rest, with their macro average; for two classes, the second's alone.

    A class without a sample, or with all of them, has no curve. Where all curves crowd into the top left
    corner, that is drawn a second time, enlarged.
    """
    curves = {
        name: metrics.roc_curve(*one)[:2] for name, one in _one_vs_rest(truth, probabilities, class_names)
    }
    areas = {name: metrics.auc(*points) for name, points in curves.items()}
    mean = None
    if len(curves) > 1:
        grid = np.unique(np.concatenate([false_rate for false_rate, _ in curves.values()]))
        heights = np.mean([np.interp(grid, *points) for points in curves.values()], axis=0)
        mean = np.array([0, *grid]), np.array([0, *heights])
    enlarged = bool(areas) and _GOOD_AREA < min(areas.values()) < _PERFECT_AREA
    figure = Figure(dpi=150, layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, 2 if enlarged else 1, squeeze=False)[0])
    for axes in panels:
        _draw(axes, curves, areas, mean, f"macro average  {metrics.auc(*mean):.3f}" if mean else "")
        axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=1, ls=":", label="chance  0.5")
        axes.set(xlabel="false positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    panels[0].set_ylabel("true positive rate")
    panels[0].set_title("ROC curve", color=INK)
    if enlarged:
        panels[1].set(xlim=(-0.002, 0.202), ylim=(0.798, 1.002))
        panels[1].locator_params(nbins=5)
        panels[1].set_title("its top left corner, enlarged", color=INK)
    _legend(figure, panels[0], "area under the curve")
    return figure


def precision_recall_curves(truth: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]) -> Figure:
    """One curve a class against the rest; for two classes, the second's alone, and the share that it has.

    The legend has the average precision.
    """
    curves: dict[str, _Points] = {}
    precisions: dict[str, float] = {}
    share = 0.0
    for name, (is_class, scores) in _one_vs_rest(truth, probabilities, class_names):
        precision, recall, _ = metrics.precision_recall_curve(is_class, scores)
        # The value at a threshold holds down to the next one.
        curves[name] = np.repeat(recall, 2)[1:], np.repeat(precision, 2)[:-1]
        precisions[name] = float(metrics.average_precision_score(is_class, scores))
        share = float(np.mean(is_class))
    figure = Figure(dpi=150, layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, curves, precisions)
    if len(curves) > 1:
        axes.plot([], [], " ", label=f"macro average  {np.mean(list(precisions.values())):.3f}")
    elif curves:
        axes.axhline(share, color="#bbbbbb", lw=1, ls=":", label=f"chance  {share:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_title("Precision and recall", color=INK)
    _legend(figure, axes, "average precision")
    return figure


def calibration_curve(truth: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]) -> Figure:
    """How often what is predicted with some probability is true, and below how many samples have it.

    For two classes the probability is the second's, else that of the predicted class. Each dot has about
    the same number of samples.
    """
    labels, scores = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if len(class_names) == 2:
        predicted, true, what = scores[:, 1], labels == class_names[1], short(class_names[1])
    else:
        predicted, what = scores.max(axis=1), "the predicted class"
        true = labels == np.asarray(class_names)[scores.argmax(axis=1)]
    bins = max(1, min(_BINS, len(labels) // _ROWS_OF_A_BIN))
    edges = np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1])
    # Those of the same probability are in one bin.
    which = np.searchsorted(edges, predicted, side="left")
    parts = [np.flatnonzero(which == bin_) for bin_ in np.unique(which)]
    means = [float(predicted[part].mean()) for part in parts]
    shares = [float(true[part].mean()) for part in parts]
    error = sum(abs(mean - share) * len(part) for mean, share, part in zip(means, shares, parts, strict=True))
    figure = Figure(figsize=(5.6, 6.4), dpi=150, layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=1, ls=":")
    axes.plot(means, shares, color="#1f77b4", marker="o", ms=5, lw=1.5)
    axes.set(ylabel="share that is true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(f"Calibration: {error / len(labels):.1%} off on average", color=INK)
    below.hist(predicted, bins=20, range=(0, 1), color="#9ecae1")
    below.set(xlabel=f"probability of {what}", ylabel="samples")
    for panel in (axes, below):
        panel.grid(color="#eeeeee")
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def _one_vs_rest(
    truth: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]
) -> Iterator[tuple[str, tuple[NDArray[np.bool_], NDArray[np.float64]]]]:
    labels, scores = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    for position in range(len(class_names)) if len(class_names) > 2 else [1]:
        is_class = labels == class_names[position]
        if is_class.any() and not is_class.all():
            yield class_names[position], (is_class, scores[:, position])


def _draw(
    axes: Axes,
    curves: Mapping[str, _Points],
    scores: Mapping[str, float],
    mean: _Points | None = None,
    mean_label: str = "",
) -> None:
    palette = colormaps["tab10"] if len(curves) <= 10 else colormaps["turbo"].resampled(len(curves))
    named = len(curves) <= MOST_CURVES
    for position, (name, points) in enumerate(curves.items()):
        label = f"{short(name)}  {scores[name]:.3f}" if named else None
        axes.plot(*points, color=palette(position), lw=1.5 if named else 0.5, label=label)
    if mean:
        axes.plot(*mean, color="black", lw=2, ls=(0, (2, 1)), label=mean_label)
    axes.set_aspect("equal")
    axes.grid(color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, axes: Axes, title: str) -> None:
    """Beside the curves, so that none is hidden; the figure becomes as wide as that takes."""
    handles, labels = axes.get_legend_handles_labels()
    beside = 0.6 + 0.066 * max(len(label) for label in [title, *labels])
    figure.set_size_inches(_SIDE * len(figure.axes) + beside, _SIDE)
    figure.legend(
        handles,
        labels,
        loc="outside right center",
        title=title,
        fontsize="small",
        frameon=False,
        alignment="left",
    )
