"""Figures of a dataset. They are plain Figure objects: pyplot keeps every figure alive in a global list."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageOps
from trainkit.data import pixels
from trainkit.data.brightness import FULL, White
from trainkit.errors import InputError

from trainer.counted import counted
from trainer.datasets.statistics.summary import Stats

INK, FAINT = "#333333", "#888888"
_BLUES = ("#2f6ba8", "#7fb0d8", "#c3dbee")
_TILE, _GAP = 128, 6  # pixels
_LONGEST_NAME = 44
_MOST_ROWS = 40
# Matplotlib draws no picture with a side of 2¹⁶ pixels or more.
_LONGEST_SIDE = 60_000


def class_balance(stats: Stats) -> Figure:
    """Horizontal bars of the number of images of each class, largest first; with splits, stacked."""
    classes = sorted(stats.classes, key=lambda c: c.images, reverse=True)
    names = [wrapped(c.name) for c in classes]
    lines = sum(name.count("\n") + 1 for name in names)
    figure = empty(11, 1.4 + 0.17 * len(names) + 0.17 * lines)
    axes = figure.add_subplot()
    rows = np.arange(len(classes))
    start = np.zeros(len(classes), dtype=np.int64)
    for split, colour in zip(stats.splits or ("",), _BLUES, strict=False):
        counts = np.array([c.splits[split] if split else c.images for c in classes])
        axes.barh(rows, counts, left=start, height=0.72, color=colour, label=split)
        start += counts
    for row, c in enumerate(classes):
        axes.annotate(
            f"{c.images:,}", (c.images, row), (5, 0), textcoords="offset points", va="center", color=INK
        )
        transform = axes.get_yaxis_transform()
        axes.text(1.06, row, f"{c.share:.1%}", transform=transform, va="center", ha="right", color=FAINT)
    axes.set_yticks(rows, names, color=INK, parse_math=False)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlim(0, max(1, start.max()) * 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("images", color=INK)
    axes.set_title(
        f"{stats.root.resolve().name}: {counted(stats.images, 'image')} in {counted(len(classes), 'class')}",
        color=INK,
        parse_math=False,
    )
    axes.xaxis.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if stats.splits:
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def contact_sheet(root: Path, examples: Mapping[str, Sequence[Path]], white: White = FULL) -> Figure:
    """A row of images of each class under its name, in two columns where there are many classes.

    Images are cut to squares; one that cannot be read is left blank.
    """
    columns = max(1 if len(examples) <= 6 else 2, -(-len(examples) // _MOST_ROWS))
    height = -(-len(examples) // columns)
    width = max(1, *(len(paths) for paths in examples.values()))
    figure = empty(max(4.5, columns * (width + 0.2)), 0.5 + height * 1.25)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.05))
    figure.suptitle(f"{root.resolve().name}: a few images of each class", color=INK, parse_math=False)
    grid = figure.subplots(height, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    # Read down the first column, then down the second.
    for axes, (name, paths) in zip(grid.T.flat, examples.items(), strict=False):
        _draw_row(axes, name, [_tile(path, white) for path in paths], width)
    return figure


def empty(width: float, height: float) -> Figure:
    """An empty figure of that size in inches."""
    return Figure(
        figsize=(width, height), dpi=min(130, _LONGEST_SIDE / max(width, height)), layout="constrained"
    )


def wrapped(name: str) -> str:
    """A long name in lines, broken at underscores and blanks."""
    if len(name) <= _LONGEST_NAME:
        return name
    # Blanks stand for the underscores while the text is broken; both have the same width.
    lines = textwrap.wrap(name.replace("_", " "), _LONGEST_NAME)
    ends = np.cumsum([len(line) + 1 for line in lines])
    starts = [0, *ends[:-1]]
    return "\n".join(name[start:end].rstrip(" ") for start, end in zip(starts, ends, strict=True))


def _draw_row(axes: Axes, name: str, tiles: Sequence[NDArray[np.uint8]], width: int) -> None:
    strip = np.full((_TILE, width * (_TILE + _GAP) - _GAP, 3), 255, dtype=np.uint8)
    for position, tile in enumerate(tiles):
        left = position * (_TILE + _GAP)
        strip[:, left : left + _TILE] = tile
    axes.imshow(strip, interpolation="antialiased")
    axes.set_title(name, loc="left", fontsize=8 if len(name) <= 56 else 7, color=INK, pad=3, parse_math=False)


def _tile(path: Path, white: White) -> NDArray[np.uint8]:
    try:
        with pixels.opened(path) as picture:
            picture.draft("RGB", (_TILE, _TILE))
            square = ImageOps.fit(pixels.rgb(picture, white), (_TILE, _TILE), Image.Resampling.LANCZOS)
    except InputError:
        return np.full((_TILE, _TILE, 3), 235, dtype=np.uint8)
    return np.asarray(square)
