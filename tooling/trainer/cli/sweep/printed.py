"""What `trainer sweep` prints: trials as they go, and what came of all of them."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from trainer.cli import figures, output
from trainer.cli.live.block import RedrawnBlock
from trainer.cli.live.line import Line, columns, fitted
from trainer.cli.live.progress import Progress
from trainer.cli.sweep import shown

if TYPE_CHECKING:
    from trainer.sweeps.parent import Row
    from trainer.sweeps.report import SweepView
    from trainer.sweeps.screen import Outcome
    from trainer.sweeps.search.spec import SweepSpec

_SHOWN = 5
_SEARCHING = "Searching"
_TABLE_S = 1.0
_LEFT_FREE, _LEAST_ROWS, _MOST_ROWS = 6, 6, 16
"""Lines of the terminal that are not the table's, and how many the table has."""
_LEARNING = ("tpe", "cmaes", "gp")


class SweepProgress(Progress):
    """Shows a sweep as a table, or as lines; and what is done now as `Progress` does."""

    _view: SweepView | None = None
    _table: tuple[float, int, list[str]] = (0.0, 0, [])
    """When it was made, how wide, and its lines."""

    def shows(self, view: SweepView) -> None:
        """How it goes now."""
        before, self._view = self._view, view
        if self._live:
            if self._doing is None or self._doing.step != _SEARCHING:
                self.step(_SEARCHING)
            if before is None or [trial.state for trial in before.trials] != [t.state for t in view.trials]:
                self._table = (0.0, 0, [])
                self._screen.redraw()
            return
        self._doing = None  # the lines say enough
        for line in shown.changes(before, view):
            self.remark(line)

    def _redrawn(self) -> Line:
        return RedrawnBlock(self._lines, lambda: columns(sys.stderr))

    def _lines(self, width: int) -> list[str]:
        """The table, made once a second, and below it what is done now; nothing where nothing is."""
        doing, now = self._doing, time.monotonic()
        if doing is None:
            return []
        below = fitted(doing, now, width)
        if self._view is None or not self._view.trials:
            return [below]
        made, of_width, table = self._table
        if now - made >= _TABLE_S or of_width != width:
            room = shutil.get_terminal_size().lines - _LEFT_FREE
            table = shown.lines(self._view, width, min(max(room, _LEAST_ROWS), _MOST_ROWS), time.time())
            self._table = (now, width, table)
        return [*table, "", below]


def first_trials(
    spec: SweepSpec, trials: Sequence[dict[str, str]], unchecked: str | None, *, as_json: bool
) -> None:
    """What --dry-run shows. `unchecked` says why not all could be checked that a sweep is refused for."""
    if as_json:
        output.as_json(
            {
                "trials": trials,
                "sampler": spec.sampler,
                "parallel": spec.parallel,
                "unchecked": unchecked,
            }
        )
        return
    names = [dimension.name for dimension in spec.dimensions]
    rows = [(str(number), *_values(names, values)) for number, values in enumerate(trials)]
    output.table(("TRIAL", *names), rows)
    unending = "All of the grid" if spec.sampler == "grid" else "Until --timeout or --stop-after ends it"
    count = unending if spec.trials is None else f"{spec.trials} trials"
    goals = ", ".join(objective.text for objective in spec.objectives)
    later = " Later ones depend on how these end." if spec.sampler in _LEARNING else ""
    click.echo(f"\n{count}, {spec.parallel} at once, judged by {goals}.{later}")
    if unchecked:
        click.echo(f"Not checked: what the machine has. {unchecked}")


def _values(names: Sequence[str], values: Mapping[str, str]) -> list[str]:
    return [figures.rounded(values.get(name, "")) for name in names]


def outcome(result: Outcome, spec: SweepSpec, *, as_json: bool) -> None:
    """What came of the sweep."""
    if spec.constraints and not result.best and any(row.results for row in result.rows):
        bounds = " and ".join(constraint.text for constraint in spec.constraints)
        click.echo(f"No trial keeps to the constraints: {bounds}.", err=as_json)
    if as_json:
        output.as_json(
            {
                "run_id": result.parent.id,
                "name": result.parent.name,
                "status": result.status,
                "reason": result.reason,
                "url": result.parent.url,
                "best": [_as_json(row, spec) for row in result.best],
                "trials": [_as_json(row, spec) for row in result.rows],
            }
        )
        return
    click.echo()
    names = [dimension.name for dimension in spec.dimensions]
    metrics = [objective.metric for objective in spec.objectives]
    if result.best:
        headings = ("TRIAL", *metrics, *names, "RUN")
        rows = [
            (
                str(row.number),
                *map(figures.metric, row.results),
                *_values(names, row.values),
                row.run_ids[0][:8],
            )
            for row in result.best[:_SHOWN]
        ]
        output.table(headings, rows)
        click.echo()
    colour = "green" if result.status == "FINISHED" else "red"
    click.echo(f"{output.style(result.status, fg=colour, bold=True)}  {result.parent.name}")
    if result.parent.url:
        click.echo(result.parent.url)


def _as_json(row: Row, spec: SweepSpec) -> dict[str, object]:
    results = dict(zip((objective.metric for objective in spec.objectives), row.results, strict=False))
    return {
        "trial": row.number,
        "state": row.state,
        "parameters": dict(row.values),
        "metrics": {name: output.finite(value) for name, value in results.items()},
        "run_ids": list(row.run_ids),
        "seconds": round(row.took_s, 3),
        "why": row.why,
    }
