"""The curves of a comparison as SVG, which needs no script."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainer.cli.runs.comparison.html import colour, text
from trainer.tracking import metrics
from trainer.tracking.client import Run
from trainer.tracking.search import Point

Curves = Mapping[str, Mapping[str, Sequence[Point]]]
"""Points by metric and run id."""

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 210, 58, 10, 10, 24
_TINY = 1e-300  # below it the distance of two ticks is no number that can be computed with
_FEW = 0.05  # the share of points at either end that may be outside where they would take most of the room


@dataclass(frozen=True)
class _Curve:
    run: int
    """Its place among the runs, which its colour stands for."""
    measured_on: str
    points: Sequence[Point]


@dataclass(frozen=True)
class _Area:
    """What steps and values the chart shows."""

    first: int
    last: int
    low: float
    high: float

    def place(self, point: Point) -> str:
        across = (point.step - self.first) / ((self.last - self.first) or 1) * (_WIDTH - _LEFT - _RIGHT)
        down = (self.high - point.value) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM)
        return f"{across:.1f},{down:.1f}"


def draw(names: Sequence[str], curves: Curves, runs: Sequence[Run]) -> str:
    """A chart for each thing that is measured, in the order of `names`; training and validation are in one.

    A metric of which no run has two points is in none.
    """
    together: dict[str, list[_Curve]] = {}
    for name in names:
        what, measured_on = metrics.measured_on(name)
        of_runs = [
            _Curve(index, measured_on, points)
            for index, run in enumerate(runs)
            if (points := [p for p in curves.get(name, {}).get(run.id, ()) if math.isfinite(p.value)])
        ]
        if any(len(curve.points) > 1 for curve in of_runs):
            together.setdefault(what, []).extend(of_runs)
    return "".join(_chart(what, drawn, runs) for what, drawn in together.items())


def _chart(what: str, drawn: Sequence[_Curve], runs: Sequence[Run]) -> str:
    area = _area(drawn)
    if not math.isfinite(area.high - area.low):
        return ""
    both = len({curve.measured_on for curve in drawn}) > 1
    lines = "".join(_line(curve, area, runs[curve.run].name, both=both) for curve in drawn)
    outside = sum(not area.low <= point.value <= area.high for curve in drawn for point in curve.points)
    notes = [f"solid: {metrics.VALIDATION}, dashed: {metrics.TRAINING}"] if both else _only(drawn)
    notes += [f"{outside} outside"] if outside else []
    note = f" <small>{'; '.join(notes)}</small>" if notes else ""
    return (
        f"<figure><figcaption>{text(what)}{note}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(what)} over steps">'
        f"{''.join(_axes(area))}"
        # A nested one cuts off what is outside of it.
        f'<svg x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_HEIGHT - _TOP - _BOTTOM}">'
        f"{lines}</svg></svg></figure>"
    )


def _only(drawn: Sequence[_Curve]) -> list[str]:
    return [metrics.VALIDATION] if drawn[0].measured_on == metrics.VALIDATION else []


def _area(drawn: Sequence[_Curve]) -> _Area:
    """All steps, and all values but a few at the ends that would leave more than half of the chart empty."""
    steps = [point.step for curve in drawn for point in curve.points]
    values = sorted(point.value for curve in drawn for point in curve.points)
    low, high = values[0], values[-1]
    few = int(len(values) * _FEW)
    most_low, most_high = values[few], values[-1 - few]
    if 2 * (most_high - most_low) < high - low and most_high > most_low:
        margin = (most_high - most_low) / 10
        low, high = max(low, most_low - margin), min(high, most_high + margin)
    if high - low < _TINY:  # a level line is in the middle
        low, high = low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1)
    else:
        margin = (high - low) / 25
        low, high = low - margin, high + margin
    return _Area(min(steps), max(steps), low, high)


def _axes(area: _Area) -> Iterator[str]:
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value in ticks(area.low, area.high):
        y = _TOP + (area.high - value) / (area.high - area.low) * (floor - _TOP)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>'
    yield f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{area.first}</text>'
    yield f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">step {area.last}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers in the range."""
    most = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(most))
    step = max(factor * power for factor in (1, 2, 5) if factor * power <= most)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _line(curve: _Curve, area: _Area, name: str, *, both: bool) -> str:
    title = f"<title>{text(name)}, {curve.measured_on}</title>"
    stroke = f"var({colour(curve.run)})"
    if len(curve.points) == 1:
        x, y = area.place(curve.points[0]).split(",")
        return f'<circle cx="{x}" cy="{y}" r="3" style="fill:{stroke}">{title}</circle>'
    dashed = " dashed" if both and curve.measured_on == metrics.TRAINING else ""
    places = " ".join(area.place(point) for point in curve.points)
    return f'<polyline class="curve{dashed}" style="stroke:{stroke}" points="{places}">{title}</polyline>'
