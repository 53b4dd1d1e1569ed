"""The page that `trainer compare --html` writes: one file that asks no network and runs no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from trainer import printable
from trainer.cli import figures
from trainer.tracking.compare import Comparison, MetricRow, Row
from trainer.tracking.search import Point

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 360, 200, 64, 24, 10
_COLOURS = 8
_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c2430; --faint: #5b6675; --line: #d9dee5;
  --raised: #f5f7f9; --good: #0a7a3d; --added: #0a7a3d; --removed: #b3261e;
  --c0: #2563eb; --c1: #d9480f; --c2: #0f8a5f; --c3: #9333ea; --c4: #b7791f; --c5: #0891b2; --c6: #be185d;
  --c7: #4d7c0f; }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --text: #e4e8ed; --faint: #98a3b1;
  --line: #323a44; --raised: #1c2229; --good: #5bd18b; --added: #5bd18b; --removed: #ff8a80;
  --c0: #7aa7ff; --c1: #ff9d66; --c2: #4fd1a1; --c3: #c792ff; --c4: #ecc366; --c5: #5fd4e8; --c6: #ff85b8;
  --c7: #a8d05a; } }
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 1200px; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 40rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem 1.4rem .35rem 0; text-align: left;
  vertical-align: top; }
td, .id { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; max-width: 26rem; }
thead th { border-bottom-width: 2px; } tbody th { font-weight: 500; }
.id, .change, figcaption small, .none, .note { color: var(--faint); font-weight: 400; font-size: .85rem; }
.best { color: var(--good); font-weight: 600; }
.equal { color: var(--faint); }
.swatch { border-radius: 2px; display: inline-block; height: .8rem; margin-right: .5rem; width: .8rem; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; margin: 0;
  padding: .8rem; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
svg { display: block; } svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke-width: 1.8; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto;
  padding: .8rem; font-size: .85rem; line-height: 1.4; }
ins { color: var(--added); text-decoration: none; } del { color: var(--removed); text-decoration: none; }
a { color: var(--c0); }
details { margin-top: .8rem; } summary { color: var(--faint); cursor: pointer; }
"""

Curves = Mapping[str, Mapping[str, Sequence[Point]]]


def render(compared: Comparison, curves: Curves, changes: Mapping[str, Sequence[str]]) -> str:
    """The page. `curves` are by metric and run id, `changes` the lines of a code diff by run id."""
    title = f"{len(compared.runs)} runs compared"
    sections = [
        _heads(compared),
        _section("Parameters", compared.parameters, compared),
        _section("Metrics", compared.metrics, compared),
        _charts(compared, curves),
        *(_section(name, rows, compared) for name, rows in compared.origins.items()),
        *(_changes(compared, run_id, lines) for run_id, lines in changes.items()),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        + "\n".join(filter(None, sections))
        + "\n</body>\n</html>\n"
    )


def _heads(compared: Comparison) -> str:
    rows = (
        f'<tr><th scope="row">{_swatch(index)}{_text(run.name)}</th><td class="id">{_text(run.id)}</td>'
        f"<td>{_text(run.status)}</td><td>{_link(run.url)}</td></tr>"
        for index, run in enumerate(compared.runs)
    )
    return (
        f'<div class="scroll"><table><tbody>{"".join(rows)}</tbody></table></div>'
        '<p class="note">Differences are to the first run. A green value with a star is the best one, where '
        "the metric&#39;s name says which way is better.</p>"
    )


def _link(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        return ""
    return f'<a href="{escape(url)}" rel="noreferrer">tracking server</a>'


def _section(title: str, rows: Sequence[Row | MetricRow], compared: Comparison) -> str:
    if not rows:
        return ""
    differing = [row for row in rows if row.differs]
    equal = [row for row in rows if not row.differs]
    text = f"<h2>{title}</h2>"
    if differing:
        text += _table(differing, compared)
    if equal:
        text += f"<details{'' if differing else ' open'}><summary>{len(equal)} equal</summary>"
        text += _table(equal, compared, only_first=True) + "</details>"
    return text


def _table(rows: Iterable[Row | MetricRow], compared: Comparison, *, only_first: bool = False) -> str:
    heads = "".join(
        f'<th scope="col">{_swatch(index)}{_text(run.name)}</th>' for index, run in enumerate(compared.runs)
    )
    body = "".join(
        f'<tr><th scope="row">{_text(row.name)}</th>{"".join(_cells(row)[: 1 if only_first else None])}</tr>'
        for row in rows
    )
    head = "" if only_first else f"<thead><tr><th></th>{heads}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _cells(row: Row | MetricRow) -> list[str]:
    if isinstance(row, Row):
        return [f"<td>{_text(value)}</td>" if value is not None else _NONE for value in row.values]
    cells: list[str] = []
    for index, value in enumerate(row.values):
        if value is None:
            cells.append(_NONE)
            continue
        best = index in row.best
        figure = figures.metric(value) + (" ★" if best else "")
        change = figures.difference(row.differences[index]) if index and row.differs else ""
        cells.append(
            f"<td><span{' class=best' if best else ''}>{figure}</span>"
            + (f' <span class="change">{change}</span>' if change else "")
            + "</td>"
        )
    return cells


_NONE = '<td class="none">-</td>'


def _charts(compared: Comparison, curves: Curves) -> str:
    drawn = [
        chart
        for row in compared.metrics
        if (
            chart := _chart(
                row.name, [curves.get(row.name, {}).get(run.id, ()) for run in compared.runs], compared
            )
        )
    ]
    return f'<h2>Curves</h2><div class="charts">{"".join(drawn)}</div>' if drawn else ""


def _chart(name: str, by_run: Sequence[Sequence[Point]], compared: Comparison) -> str:
    """One metric over its steps; nothing where no run has two points."""
    finite = [[point for point in points if math.isfinite(point.value)] for points in by_run]
    if max(map(len, finite), default=0) < 2:
        return ""
    every = [point for points in finite for point in points]
    steps, values = [point.step for point in every], [point.value for point in every]
    low, high = min(values), max(values)
    first, last = min(steps), max(steps)
    step_span, span = (last - first) or 1, (high - low) or 1.0
    if not math.isfinite(span):
        return ""

    def place(point: Point) -> str:
        across = _LEFT + (point.step - first) / step_span * (_WIDTH - _LEFT - 8)
        down = _TOP + (high - point.value) / span * (_HEIGHT - _TOP - _BOTTOM)
        return f"{across:.1f},{down:.1f}"

    lines = "".join(
        f'<polyline class="curve" style="stroke:var(--c{index % _COLOURS})" '
        f'points="{" ".join(map(place, points))}"><title>{_text(run.name)}</title></polyline>'
        if len(points) > 1
        else _dot(place(points[0]), index, run.name)
        for index, (points, run) in enumerate(zip(finite, compared.runs, strict=True))
        if points
    )
    floor = _HEIGHT - _BOTTOM
    axes = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{value:.3g}</text>'
        for y, value in ((_TOP, high), ((_TOP + floor) / 2, (high + low) / 2), (floor, low))
    )
    axes += f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{first}</text>'
    axes += f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 6}" text-anchor="end">step {last}</text>'
    return (
        f"<figure><figcaption>{_text(name)}</figcaption>"
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{_text(name)} over steps">{axes}{lines}</svg></figure>'
    )


def _dot(point: str, index: int, name: str) -> str:
    x, y = point.split(",")
    return (
        f'<circle cx="{x}" cy="{y}" r="3" style="fill:var(--c{index % _COLOURS})">'
        f"<title>{_text(name)}</title></circle>"
    )


def _changes(compared: Comparison, run_id: str, lines: Sequence[str]) -> str:
    name = next((run.name for run in compared.runs if run.id == run_id), run_id)
    body = "\n".join(_line(line) for line in lines) or "No difference."
    return f"<h2>Code of {_text(name)}</h2><pre>{body}</pre>"


def _line(line: str) -> str:
    tag = {"+": "ins", "-": "del"}.get(line[:1])
    return f"<{tag}>{_text(line)}</{tag}>" if tag else _text(line)


def _swatch(index: int) -> str:
    return f'<span class="swatch" style="background:var(--c{index % _COLOURS})"></span>'


def _text(text: str) -> str:
    return escape(printable.line(text.replace("\t", "    ")))
