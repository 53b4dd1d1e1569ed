"""Figures of a classifier's results.

They are plain Figure objects: pyplot keeps every figure alive in a global list, and needs a backend.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics

from trainkit import former_names

INK = "#333333"
# With more classes than these, numbers in cells cannot be read.
MOST_CELLS = 60


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Counts of true (rows) against predicted classes (columns), shaded by the share of the row.

    With more than 60 classes it is shaded only.
    """
    counts = metrics.confusion_matrix(truth, predicted, labels=class_names)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    size = len(class_names)
    side = 3.2 + 0.42 * size if size <= MOST_CELLS else 9
    names = [short(name) for name in class_names] if size <= MOST_CELLS else []
    longest = max(map(len, names), default=0)
    crowded = longest > (4 if size > 4 else 8)
    room = 0.08 * longest if crowded else 0
    figure = Figure(figsize=(side + room + 0.6, side + room), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if size <= MOST_CELLS:
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if shares[row, column] > 0.5 else INK if count else "#bbbbbb"
            axes.text(column, row, str(count), ha="center", va="center", color=shade)
        axes.set_xticks(range(size), names, rotation=90 if crowded else 0)
        axes.set_yticks(range(size), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    right = np.trace(counts)
    axes.set_title(f"{right} of {counts.sum()} right ({right / counts.sum():.1%})", color=INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format="{x:.0%}", label="share of the true class")
    bar.outline.set_visible(False)
    return figure


def curves(
    history: Sequence[Mapping[str, float]], phases: Mapping[str, int] | None = None, best: int | None = None
) -> Figure:
    """Loss and accuracy by epoch, of training and validation.

    `history` has one mapping an epoch, the first being epoch 1, with `loss`, `accuracy`, `val_loss` and
    `val_accuracy` (what is missing is not drawn). `phases` are names and their first epochs; a line stands
    before each but the first. `best` is the epoch whose weights are kept.
    """
    figure = Figure(figsize=(11, 4.4), dpi=150, layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        _draw_epochs(axes, history, quantity)
        _draw_phases(axes, phases or {})
        if best is not None:
            axes.axvline(best, color="#2ca02c", lw=1, ls=(0, (4, 3)), zorder=1, label=f"kept: epoch {best}")
        axes.set(xlabel="epoch", ylabel=quantity, xlim=(0.5, len(history) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="#eeeeee")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(0, 1.05 * panels[0].get_ylim()[1])
    panels[1].set_ylim(0, 1.02)
    panels[1].legend(loc="lower right", fontsize="small", framealpha=1)
    return figure


def _draw_epochs(axes: Axes, history: Sequence[Mapping[str, float]], quantity: str) -> None:
    for prefix, name, color in (("", "training", "#7f7f7f"), ("val_", "validation", "#1f77b4")):
        epochs = [epoch for epoch, values in enumerate(history, 1) if prefix + quantity in values]
        values = [history[epoch - 1][prefix + quantity] for epoch in epochs]
        # A marker, because one epoch alone makes no line.
        axes.plot(epochs, values, color=color, lw=1.8, marker="o", ms=3, label=name)


def _draw_phases(axes: Axes, phases: Mapping[str, int]) -> None:
    for name, first in phases.items():
        start = first - 0.5
        if first > 1:
            axes.axvline(start, color="#aaaaaa", lw=1)
        axes.text(start, 1.01, name, transform=axes.get_xaxis_transform(), color="#666666", size=9)


@dataclass(frozen=True)
class Mistake:
    """A picture, (height, width, 3) uint8, its class, and the wrong one that got `probability`."""

    picture: NDArray[np.uint8] = field(repr=False)
    truth: str
    predicted: str
    probability: float


def worst_mistakes(mistakes: Sequence[Mistake], *, wrong: int, total: int) -> Figure:
    """The pictures, four in a row, with "true → predicted" and the latter's probability.

    `wrong` counts all mistakes, `total` all pictures.
    """
    columns = 4
    title = f"{wrong} of {total} pictures classified wrongly"
    if len(mistakes) < wrong:
        title += f"; the {len(mistakes)} surest mistakes"
    if not mistakes:
        figure = Figure(figsize=(9, 1), dpi=110)
        figure.text(0.5, 0.5, title, ha="center", va="center", size="large", color=INK)
        return figure
    rows = -(-len(mistakes) // columns)
    figure = Figure(figsize=(9, 0.6 + 2.6 * rows), dpi=110, layout="constrained")
    figure.suptitle(title, color=INK)
    for position, mistake in enumerate(mistakes):
        axes = figure.add_subplot(rows, columns, position + 1)
        axes.imshow(mistake.picture)
        truth, predicted = short(mistake.truth, 22), short(mistake.predicted, 22)
        axes.set_title(f"{truth}\n→ {predicted}  {mistake.probability:.0%}", size=8.5, color=INK)
        axes.set_axis_off()
    return figure


def short(name: str, most: int = 24) -> str:
    """The name, its middle left out where it is longer: the ends tell similar names apart."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def __getattr__(name: str) -> object:
    return former_names.attribute(__name__, name)
