"""The page that `trainer sweep show --html` writes: one file that asks no network and runs no script."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from trainer.cli import figures
from trainer.cli.runs.comparison.html import document, text
from trainer.cli.sweep import charts
from trainer.cli.sweep.trials import summary
from trainer.sweeps.report import SweepView, TrialView
from trainer.sweeps.search.spec import SweepSpec

_STYLE = """
.wide { grid-column: 1 / -1; max-width: none; overflow-x: auto; } .wide svg { min-width: 700px; }
svg .point { fill: var(--c0); fill-opacity: .65; } svg .best-point { fill: var(--good); }
svg .off-point { fill: none; stroke: var(--faint); } svg rect { fill: var(--c0); }
svg .line { fill: none; stroke: var(--c0); stroke-opacity: .35; stroke-width: 1.2; }
svg .best-line { fill: none; stroke: var(--good); stroke-width: 2.4; } svg .axis { stroke: var(--faint); }
svg .on-line { paint-order: stroke; stroke: var(--raised); stroke-width: 3px; }
td.number, th.number { text-align: right; } tr.best th, tr.best td { color: var(--good); font-weight: 600; }
@media print { :root { color-scheme: light; } body { margin: 0; max-width: none; }
  figure { break-inside: avoid; } thead { display: table-header-group; } tr { break-inside: avoid; }
  .scroll { overflow-x: visible; } .rows th:first-child { position: static; } }
"""


def render(view: SweepView, spec: SweepSpec, importances: Mapping[str, float], url: str) -> str:
    """The page. `importances` are shares of the differences of the first objective, by parameter."""
    domains = {dimension.name: dimension.domain for dimension in spec.dimensions}
    drawn = [
        *(charts.history(view, number) for number in range(len(view.objectives))),
        charts.importances(importances),
        charts.parallel(view, domains),
    ]
    slices = "".join(charts.slices(view, domains))
    sections = [
        _head(view, spec, url),
        _best(view),
        _group("Search", "".join(drawn)),
        _group(f"{view.objectives[0].metric} by parameter", slices),
        _searched(spec),
        f"<h2>Trials</h2>{_trials(view)}",
    ]
    return document(f"Sweep {view.name}", filter(None, sections), _STYLE)


def _head(view: SweepView, spec: SweepSpec, url: str) -> str:
    goals = ", ".join(f"{objective.goal} {objective.metric}" for objective in view.objectives)
    bounds = "".join(f", with {constraint.text}" for constraint in spec.constraints)
    link = (
        f' <a href="{escape(url)}" rel="noreferrer">tracking server</a>'
        if url.startswith(("http://", "https://"))
        else ""
    )
    return (
        f"<p>{text(spec.project)}: {text(goals + bounds)}. {text(summary(view))}. "
        f"<code>{text(view.run_id[:8])}</code>{link}</p>"
    )


def _best(view: SweepView) -> str:
    found = view.best_trials
    if not found:
        return ""
    title = "Best trial" if len(found) == 1 else "Best trials: none beats another in all metrics"
    return f"<h2>{title}</h2>{_trials(view, found)}"


def _group(title: str, drawn: str) -> str:
    return f'<h2>{text(title)}</h2><div class="charts">{drawn}</div>' if drawn else ""


def _searched(spec: SweepSpec) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text(each.name)}</th><td>{text(each.text)}</td></tr>'
        for each in spec.dimensions
    )
    fixed = "".join(
        f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>'
        for name, value in spec.parameters.items()
    )
    return f"<details><summary>What was searched</summary><table>{rows}{fixed}</table></details>"


def _trials(view: SweepView, chosen: list[TrialView] | None = None) -> str:
    metrics = [objective.metric for objective in view.objectives]
    numbers = "".join(f'<th scope="col" class="number">{text(name)}</th>' for name in (*metrics, "took"))
    names = "".join(f'<th scope="col">{text(name)}</th>' for name in view.searched)
    body = "".join(_row(view, trial) for trial in chosen or view.ranked)
    return (
        '<div class="scroll"><table class="rows"><thead><tr>'
        '<th scope="col">trial</th><th scope="col">state</th>'
        f'{numbers}{names}<th scope="col">run</th></tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(view: SweepView, trial: TrialView) -> str:
    is_best = trial.number in view.best
    results = [figures.metric(value) for value in trial.results]
    results += [""] * (len(view.objectives) - len(results))
    cells = [f'<td class="number">{text(result)}</td>' for result in results]
    cells.append(f'<td class="number">{figures.duration(trial.took_s)}</td>')
    cells += [f"<td>{text(figures.rounded(trial.values.get(name, '')))}</td>" for name in view.searched]
    remark = f" <small>{text(trial.remark)}</small>" if trial.remark else ""
    return (
        f'<tr{" class=best" if is_best else ""}><th scope="row">{trial.number}{" ★" if is_best else ""}</th>'
        f"<td>{trial.state}{remark}</td>{''.join(cells)}<td><code>{text(trial.run_id[:8])}</code></td></tr>"
    )
