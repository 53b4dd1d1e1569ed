"""The charts of a sweep as SVG, which needs no script."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainer.cli import figures
from trainer.cli.runs.comparison.charts import ticks
from trainer.cli.runs.comparison.html import text
from trainer.sweeps.report import SweepView, TrialView
from trainer.sweeps.search.domains import Choices, Domain

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 210, 58, 12, 10, 34
_WIDE = 900
_BAR = 26
_MOST_LABELS = 6


@dataclass(frozen=True)
class _Scale:
    """Values along one side of a chart, from 0 to 1."""

    labels: Sequence[tuple[float, str]]
    choices: Sequence[str] = ()
    low: float = 0
    high: float = 1
    log: bool = False

    def place(self, value: str | float) -> float | None:
        """Where a value is; None for what is none."""
        if self.choices:
            chosen = str(value)
            return (self.choices.index(chosen) + 0.5) / len(self.choices) if chosen in self.choices else None
        try:
            number = float(value)
        except ValueError:
            return None
        if not math.isfinite(number) or (self.log and number <= 0):
            return None
        number = math.log10(number) if self.log else number
        return min(max((number - self.low) / (self.high - self.low), 0.0), 1.0)


def scale_of(domain: Domain) -> _Scale:
    """Of a parameter, as it is searched."""
    if isinstance(domain, Choices):
        count = len(domain.values)
        labels = [((place + 0.5) / count, value) for place, value in enumerate(domain.values)]
        return _Scale(labels if count <= _MOST_LABELS else [labels[0], labels[-1]], domain.values)
    if domain.log:
        low, high = math.log10(domain.low), math.log10(domain.high)
        powers = [float(power) for power in range(math.ceil(low), math.floor(high) + 1)]
        step = max(1, -(-len(powers) // 4))
        marks = [(power, f"{10.0**power:g}") for power in powers[::step]]
        if len(marks) < 2:
            marks = [(low, f"{domain.low:.4g}"), (high, f"{domain.high:.4g}")]
        return _Scale([((at - low) / (high - low), word) for at, word in marks], (), low, high, log=True)
    return _numbers(domain.low, domain.high)


def _numbers(low: float, high: float) -> _Scale:
    if high - low < 1e-12:
        low, high = low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1)
    marks = [((value - low) / (high - low), f"{value:.6g}") for value in ticks(low, high)]
    return _Scale(marks, (), low, high)


def _results(trials: Sequence[TrialView], objective: int) -> _Scale:
    values = [trial.results[objective] for trial in trials]
    margin = (max(values) - min(values)) / 25
    return _numbers(min(values) - margin, max(values) + margin)


def with_results(view: SweepView) -> list[TrialView]:
    """The trials that finished with numbers."""
    return [
        t for t in view.trials if t.state == "finished" and t.results and all(map(math.isfinite, t.results))
    ]


def history(view: SweepView, objective: int = 0) -> str:
    """Each trial's result, and the best until then; nothing for less than two."""
    trials = with_results(view)
    if len(trials) < 2:
        return ""
    goal = view.objectives[objective]
    up = _results(trials, objective)
    last = max(trial.number for trial in trials)
    across = _numbers(0, max(last, 1))
    marks = [label for label in across.labels if float(label[1]).is_integer()]
    across = _Scale(marks, (), across.low, across.high)
    best: list[str] = []
    so_far: float | None = None
    for trial in trials:
        value, x = trial.results[objective], _x(across.place(trial.number) or 0)
        if trial.is_feasible and (so_far is None or goal.is_better(value, so_far)):
            if so_far is not None:
                best.append(f"{x:.1f},{_y(up.place(so_far) or 0):.1f}")
            so_far = value
        if so_far is not None:
            best.append(f"{x:.1f},{_y(up.place(so_far) or 0):.1f}")
    line = f'<polyline class="curve" style="stroke:var(--c0)" points="{" ".join(best)}"/>'
    points = "".join(_point(view, trial, objective, across.place(trial.number), up) for trial in trials)
    title = f"{goal.metric} of each trial"
    note = "line: best so far"
    return _figure(title, note, "".join(_axes(across, up, "trial")) + line + points)


def slices(view: SweepView, domains: Mapping[str, Domain], objective: int = 0) -> Iterator[str]:
    """A chart for each parameter: the result by its value."""
    trials = with_results(view)
    if len(trials) < 2:
        return
    up = _results(trials, objective)
    for name in view.searched:
        across = scale_of(domains[name])
        points = "".join(
            _point(view, trial, objective, across.place(trial.values[name]), up)
            for trial in trials
            if name in trial.values
        )
        if points:
            yield _figure(name, view.objectives[objective].metric, "".join(_axes(across, up)) + points)


def importances(shares: Mapping[str, float]) -> str:
    """A bar for each parameter; nothing for none."""
    if not shares:
        return ""
    most = max(shares.values()) or 1
    left = min(max(map(len, shares)) * 6.5 + 12, 0.45 * _WIDTH)
    bars = ""
    for place, (name, share) in enumerate(shares.items()):
        y = place * _BAR + 4
        width = share / most * (_WIDTH - left - 48)
        shown = name if len(name) * 6.5 <= left - 10 else f"{name[: int(left / 6.5) - 3]}…"
        bars += (
            f'<text x="{left - 8:.0f}" y="{y + 13}" text-anchor="end">{text(shown)}'
            f"<title>{text(name)}</title></text>"
            f'<rect x="{left:.0f}" y="{y}" width="{width:.1f}" height="{_BAR - 8}" rx="2"/>'
            f'<text x="{left + width + 6:.1f}" y="{y + 13}">{share:.0%}</text>'
        )
    return _figure("Importance", "share of the differences", bars, height=len(shares) * _BAR + 6)


def parallel(view: SweepView, domains: Mapping[str, Domain], objective: int = 0) -> str:
    """A line for each trial over all parameters to its result; nothing for less than two of either."""
    trials = with_results(view)
    if len(trials) < 2 or len(view.searched) < 2:
        return ""
    metric = view.objectives[objective].metric
    scales = {name: scale_of(domains[name]) for name in view.searched} | {metric: _results(trials, objective)}
    gap = (_WIDE - 120) / (len(scales) - 1)
    names = list(scales)
    lines = ""
    for trial in sorted(trials, key=lambda trial: trial.number in view.best):
        values: dict[str, str | float] = {**trial.values, metric: trial.results[objective]}
        places = [
            f"{60 + number * gap:.1f},{_y(at):.1f}"
            for number, name in enumerate(names)
            if name in values and (at := scales[name].place(values[name])) is not None
        ]
        kind = "best-line" if trial.number in view.best else "line"
        lines += f'<polyline class="{kind}" points="{" ".join(places)}">{_title(view, trial)}</polyline>'
    axes = ""
    for number, name in enumerate(names):
        x, last = 60 + number * gap, number == len(names) - 1
        axes += f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        side, anchor = (-5, "end") if last else (5, "start")
        for at, word in scales[name].labels:
            axes += (
                f'<text class="on-line" x="{x + side:.1f}" y="{_y(at) + 4:.1f}" text-anchor="{anchor}">'
                f"{text(figures.rounded(word))}</text>"
            )
        shown = name if len(name) * 6 < gap else f"{name[: max(int(gap / 6) - 1, 3)]}…"
        axes += (
            f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{text(shown)}'
            f"<title>{text(name)}</title></text>"
        )
    return _figure("Parameters and result", "green: the best", lines + axes, width=_WIDE)


def _point(view: SweepView, trial: TrialView, objective: int, across: float | None, up: _Scale) -> str:
    at = up.place(trial.results[objective])
    if across is None or at is None:
        return ""
    kind = "best-point" if trial.number in view.best else "point" if trial.is_feasible else "off-point"
    size = 5 if trial.number in view.best else 3.5
    place = f'cx="{_x(across):.1f}" cy="{_y(at):.1f}" r="{size}"'
    return f'<circle class="{kind}" {place}>{_title(view, trial)}</circle>'


def _title(view: SweepView, trial: TrialView) -> str:
    values = "  ".join(f"{name}={value}" for name, value in trial.values.items())
    results = "  ".join(
        f"{objective.metric} {value:.6g}"
        for objective, value in zip(view.objectives, trial.results, strict=False)
    )
    return f"<title>{text(f'Trial {trial.number}: {results}; {values}')}</title>"


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _axes(across: _Scale, up: _Scale, below: str = "") -> Iterator[str]:
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for at, word in up.labels:
        y = _y(at)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text(word)}</text>'
    for at, word in across.labels:
        anchor = "start" if at < 0.08 else "end" if at > 0.92 else "middle"
        yield f'<text x="{_x(at):.1f}" y="{floor + 15}" text-anchor="{anchor}">{text(word[:14])}</text>'
    if below:
        yield f'<text x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{below}</text>'


def _figure(title: str, note: str, drawn: str, *, width: int = _WIDTH, height: int = _HEIGHT) -> str:
    wide = ' class="wide"' if width > _WIDTH else ""
    return (
        f"<figure{wide}><figcaption>{text(title)} <small>{text(note)}</small></figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(title)}">{drawn}</svg></figure>'
    )
