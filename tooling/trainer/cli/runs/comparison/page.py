"""The page that `trainer compare --html` writes: one file that asks no network and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from trainer.cli import figures
from trainer.cli.runs.comparison import charts
from trainer.cli.runs.comparison.html import swatch, text
from trainer.tracking import metrics
from trainer.tracking.artifacts.pictures import Picture, Pictures
from trainer.tracking.client import Run
from trainer.tracking.compare import Comparison, MetricRow, Row

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c2430; --faint: #5b6675; --line: #d9dee5;
  --raised: #f5f7f9; --good: #0a7a3d; --added: #0a7a3d; --removed: #b3261e;
  --c0: #2563eb; --c1: #d9480f; --c2: #0f8a5f; --c3: #9333ea; --c4: #b7791f; --c5: #0891b2; --c6: #be185d;
  --c7: #4d7c0f; }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --text: #e4e8ed; --faint: #98a3b1;
  --line: #323a44; --raised: #1c2229; --good: #5bd18b; --added: #5bd18b; --removed: #ff8a80;
  --c0: #7aa7ff; --c1: #ff9d66; --c2: #4fd1a1; --c3: #c792ff; --c4: #ecc366; --c5: #5fd4e8; --c6: #ff85b8;
  --c7: #a8d05a; } }
* { box-sizing: border-box; }
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif;
  margin: 1.5rem auto 4rem; max-width: 1280px; padding: 0 clamp(.8rem, 3vw, 2rem); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .95rem; font-weight: 600; margin: 1.2rem 0 .5rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem 1.4rem .35rem 0; text-align: left;
  vertical-align: top; }
td { font-variant-numeric: tabular-nums; max-width: 26rem; min-width: 5.5rem; overflow-wrap: anywhere; }
thead th { border-bottom-width: 2px; white-space: nowrap; } tbody th { font-weight: 500; }
.rows th:first-child { background: var(--back); left: 0; max-width: 18rem; min-width: min(9rem, 33vw);
  overflow-wrap: break-word; position: sticky; }
.runs { list-style: none; padding: 0; } .runs li { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.runs b { font-weight: 600; min-width: 14rem; } code { color: var(--faint); }
.change, small, .none, .note { color: var(--faint); font-size: .85rem; font-weight: 400; }
.change { white-space: nowrap; }
.best { color: var(--good); font-weight: 600; white-space: nowrap; }
.swatch { border-radius: 2px; display: inline-block; height: .8rem; margin-right: .5rem; width: .8rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: 0 0 .8rem; }
.charts, .pictures { display: grid; gap: 1rem; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.pictures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 210px), 1fr)); align-items: start; }
@media (max-width: 600px) { thead th { white-space: normal; } th, td { padding-right: .8rem; }
  .runs li { margin-bottom: .5rem; } .pictures { grid-auto-columns: 78%; grid-auto-flow: column;
  grid-template-columns: none; overflow-x: auto; scroll-snap-type: x mandatory; }
  .pictures figure { scroll-snap-align: start; } }
figure { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; margin: 0;
  max-width: 34rem; padding: .7rem; }
figcaption { font-weight: 600; margin-bottom: .4rem; overflow-wrap: anywhere; }
img { background: #fff; border-radius: 3px; cursor: zoom-in; display: block; height: auto; width: 100%; }
img:focus { border: 1px solid var(--line); cursor: zoom-out; height: 96vh; inset: 2vh 2vw;
  object-fit: contain; position: fixed; width: 96vw; z-index: 1; }
svg { display: block; width: 100%; } svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke-linejoin: round; stroke-width: 1.8; }
svg .dashed { stroke-dasharray: 4 4; stroke-width: 1.3; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto;
  padding: .8rem; font-size: .85rem; line-height: 1.4; }
ins { color: var(--added); text-decoration: none; } del { color: var(--removed); text-decoration: none; }
a { color: var(--c0); } ul.note { margin-top: 0; overflow-wrap: anywhere; }
details { margin-top: .8rem; } summary { color: var(--faint); cursor: pointer; }
"""


def render(
    compared: Comparison, curves: charts.Curves, pictures: Pictures, changes: Mapping[str, Sequence[str]]
) -> str:
    """The page. `changes` are the lines of a code diff by run id."""
    title = f"{len(compared.runs)} runs compared"
    sections = [
        _heads(compared),
        _section("Parameters", compared.parameters, compared),
        _section("Metrics", compared.metrics, compared),
        _charts(compared, curves),
        _gallery(compared, pictures),
        *(_section(name, rows, compared) for name, rows in compared.origins.items()),
        *(_changes(compared, run_id, lines) for run_id, lines in changes.items()),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        + "\n".join(filter(None, sections))
        + "\n</body>\n</html>\n"
    )


def _heads(compared: Comparison) -> str:
    rows = (
        f"<li><b>{swatch(index)}{text(run.name)}</b> <code>{text(run.id[:8])}</code> "
        f"<span>{text(run.status)}</span> {_link(run.url)}</li>"
        for index, run in enumerate(compared.runs)
    )
    return (
        f'<ul class="runs">{"".join(rows)}</ul>'
        '<p class="note">Differences are to the first run. A green value with a star is the best one, where '
        f"the metric&#39;s name says which way is better. {text(' '.join(compared.remarks))}</p>"
    )


def _link(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        return ""
    return f'<a href="{escape(url)}" rel="noreferrer">tracking server</a>'


def _section(title: str, rows: Sequence[Row | MetricRow], compared: Comparison) -> str:
    """What differs in sight; times and speeds, and what is equal, where they are looked for."""
    if not rows:
        return ""
    times = [row for row in rows if row.differs and isinstance(row, MetricRow) and metrics.is_time(row.name)]
    differing = [row for row in rows if row.differs and row not in times]
    equal = [row for row in rows if not row.differs]
    return (
        f"<h2>{title}</h2>"
        + (_table(differing, compared) if differing else "")
        + _folded("times and speeds", times, compared)
        + _folded("equal", equal, compared, only_first=True)
    )


def _folded(
    what: str, rows: Sequence[Row | MetricRow], compared: Comparison, *, only_first: bool = False
) -> str:
    if not rows:
        return ""
    table = _table(rows, compared, only_first=only_first)
    return f"<details><summary>{len(rows)} {what}</summary>{table}</details>"


def _table(rows: Iterable[Row | MetricRow], compared: Comparison, *, only_first: bool = False) -> str:
    heads = "".join(
        f'<th scope="col">{swatch(index)}{text(run.name)}</th>' for index, run in enumerate(compared.runs)
    )
    body = "".join(
        f'<tr><th scope="row">{_name(row.name)}</th>{"".join(_cells(row)[: 1 if only_first else None])}</tr>'
        for row in rows
    )
    head = "" if only_first else f"<thead><tr><th></th>{heads}</tr></thead>"
    return f'<div class="scroll"><table class="rows">{head}<tbody>{body}</tbody></table></div>'


def _name(name: str) -> str:
    """With places where a long name may be broken."""
    return text(name).replace("_", "_<wbr>")


def _cells(row: Row | MetricRow) -> list[str]:
    if isinstance(row, Row):
        return [f"<td>{text(value)}</td>" if value is not None else _NONE for value in row.values]
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


def _charts(compared: Comparison, curves: charts.Curves) -> str:
    drawn = charts.draw([row.name for row in compared.metrics], curves, compared.runs)
    return f'<h2>Curves</h2>{_legend(compared)}<div class="charts">{drawn}</div>' if drawn else ""


def _gallery(compared: Comparison, pictures: Pictures) -> str:
    if not pictures.shown and not pictures.left_out:
        return ""
    shown = "".join(
        f'<h3>{text(picture.path)}</h3><div class="pictures">'
        + "".join(
            _picture(picture, index, run)
            for index, run in enumerate(compared.runs)
            if run.id in picture.by_run
        )
        + "</div>"
        for picture in pictures.shown
    )
    left_out = "".join(f"<li>{text(line)}</li>" for line in pictures.left_out)
    return f"<h2>Pictures</h2>{shown}" + (
        f'<p class="note">Left out:</p><ul class="note">{left_out}</ul>' if left_out else ""
    )


def _picture(picture: Picture, index: int, run: Run) -> str:
    content = base64.b64encode(picture.by_run[run.id]).decode()
    name = text(f"{picture.path} of {run.name}")
    return (
        f"<figure><figcaption>{swatch(index)}{text(run.name)}</figcaption>"
        f'<img tabindex="0" alt="{name}" title="Click to enlarge" '
        f'src="data:{picture.media_type};base64,{content}"></figure>'
    )


def _legend(compared: Comparison) -> str:
    names = "".join(
        f"<span>{swatch(index)}{text(run.name)}</span>" for index, run in enumerate(compared.runs)
    )
    return f'<p class="legend">{names}</p>'


def _changes(compared: Comparison, run_id: str, lines: Sequence[str]) -> str:
    name = next((run.name for run in compared.runs if run.id == run_id), run_id)
    body = "\n".join(_line(line) for line in lines) or "No difference."
    return f"<h2>Code of {text(name)}</h2><pre>{body}</pre>"


def _line(line: str) -> str:
    tag = {"+": "ins", "-": "del"}.get(line[:1])
    return f"<{tag}>{text(line)}</{tag}>" if tag else text(line)
