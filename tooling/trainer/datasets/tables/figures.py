"""Pictures of a table: each column by itself, and how numbers go together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from trainkit.data.table import columns as table_columns
from trainkit.data.table.columns import Column

from trainer.datasets.statistics.figures import FAINT, INK, empty

_COLOURS = ("#2f6ba8", "#e08a3c", "#5a9e6f", "#b5545c", "#8b6bb1", "#8a8a8a")
_WIDE = 3  # columns of the page
_MOST_PANELS, _MOST_BARS, _BINS, _MOST_NUMBERS = 60, 8, 24, 40
_LONGEST_NAME = 28


def panels(name: str, table: pd.DataFrame, described: Sequence[Column], target: str) -> Figure:
    """A histogram of each column of numbers or dates, bars of the values of each category; the target first.

    Where the target has few classes, each has a colour of its own.
    """
    shown = sorted(
        (c for c in described if c.kind in ("number", "category", "date")), key=lambda c: c.name != target
    )[:_MOST_PANELS]
    rows = max(1, -(-len(shown) // _WIDE))
    figure = empty(11, 0.9 + 2.1 * rows)
    figure.suptitle(f"{name}: {len(table):,} rows, {len(described)} columns", color=INK, parse_math=False)
    grid = figure.subplots(rows, _WIDE, squeeze=False).flat
    groups = _groups(table, target)
    for axes, column in zip(grid, shown, strict=False):
        _panel(axes, table[column.name], column, groups)
    for axes in list(figure.axes)[len(shown) :]:
        axes.set_axis_off()
    if len(groups) > 1:
        handles = [Patch(color=colour) for colour, _ in zip(_COLOURS, groups, strict=False)]
        figure.legend(handles, list(groups), loc="outside lower center", ncols=len(groups), frameon=False,
                      title=target)  # fmt: skip
    return figure


def correlation(name: str, table: pd.DataFrame, numbers: Sequence[str]) -> Figure:
    """A square for each pair of columns of numbers: blue where they rise together, red where one falls."""
    numbers = numbers[:_MOST_NUMBERS]
    frame = pd.DataFrame({column: table_columns.numbers(table[column]) for column in numbers})
    values = frame.corr().to_numpy()
    side = 2.6 + 0.45 * len(numbers)
    figure = empty(side + 0.8, side)
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    labels = [_short(column) for column in numbers]
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    if len(numbers) <= 15:
        for row, column in np.ndindex(values.shape):
            r = values[row, column]
            if np.isfinite(r):
                axes.text(column, row, f"{r:.2f}", ha="center", va="center", fontsize=8,
                          color="white" if abs(r) > 0.6 else INK)  # fmt: skip
    axes.set_title(f"{name}: correlation of numbers", color=INK, parse_math=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def _groups(table: pd.DataFrame, target: str) -> dict[str, pd.Series]:
    """Class → which rows are of it; all rows as one where there are no classes, or too many."""
    if target:
        classes = table[target].value_counts().index
        if 1 < len(classes) <= len(_COLOURS):
            return {str(label): table[target] == label for label in sorted(classes)}
    return {"": pd.Series(data=True, index=table.index)}


def _panel(axes: Axes, cells: pd.Series, column: Column, groups: dict[str, pd.Series]) -> None:
    if column.kind == "category":
        _bars(axes, cells, groups)
    else:
        values = table_columns.numbers(cells) if column.kind == "number" else _days(cells, column)
        parts = [values[rows].dropna().to_numpy() for rows in groups.values()]
        few = column.kind == "number" and column.distinct <= _BINS and (values.dropna() % 1 == 0).all()
        bins = _whole_bins(values) if few else _BINS
        axes.hist(parts, bins=bins, stacked=True, color=_COLOURS[: len(parts)], rwidth=0.9 if few else 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=bool(few)))
        if column.kind == "date":
            axes.xaxis.set_major_formatter(lambda day, _: str(np.datetime64(int(day), "D"))[:7])
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    missing = f"   {max(column.missing / len(cells), 0.01):.0%} missing" if column.missing else ""
    axes.set_title(_short(column.name) + missing, fontsize=9, color=INK, loc="left", parse_math=False)
    axes.tick_params(labelsize=7, colors=FAINT)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(axes: Axes, cells: pd.Series, groups: dict[str, pd.Series]) -> None:
    top = cells.value_counts().index[:_MOST_BARS]
    others = cells.notna() & ~cells.isin(top)
    names = [*map(str, top), *(["others"] if others.any() else [])]
    start = np.zeros(len(names))
    for colour, rows in zip(_COLOURS, groups.values(), strict=False):
        counts = [int((cells[rows] == value).sum()) for value in top]
        counts += [int((others & rows).sum())] if others.any() else []
        axes.barh(range(len(names)), counts, left=start, height=0.72, color=colour)
        start += counts
    axes.set_yticks(range(len(names)), [_short(name) for name in names], parse_math=False)
    axes.set_ylim(max(len(names), 3) - 0.5, -0.5)  # few bars are not taller than others
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _days(cells: pd.Series, column: Column) -> pd.Series:
    """Dates as days since 1970."""
    parsed = pd.to_datetime(cells, format=column.date_format, errors="coerce", utc=True)
    return (parsed - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)


def _whole_bins(values: pd.Series) -> list[float]:
    low, high = int(values.min()), int(values.max())
    if high - low > 2 * _BINS:
        return list(np.linspace(low, high, _BINS + 1))
    return [n - 0.5 for n in range(low, high + 2)]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
