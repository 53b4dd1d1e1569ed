"""The page that `trainer compare --html` writes: one file that asks no network and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from trainer.cli import figures
from trainer.cli.runs.comparison import charts
from trainer.cli.runs.comparison.html import document, swatch, text
from trainer.tracking import metrics
from trainer.tracking.artifacts.pictures import Picture, Pictures
from trainer.tracking.client import Run
from trainer.tracking.compare import Comparison, MetricRow, Row


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
    return document(title, filter(None, sections))


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
