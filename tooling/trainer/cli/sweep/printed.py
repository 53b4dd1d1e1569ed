"""What `trainer sweep` prints: trials as they go, and what came of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from trainer.cli import figures, output
from trainer.cli.live.progress import Progress

if TYPE_CHECKING:
    from trainer.sweeps.parent import Row
    from trainer.sweeps.requests import Unit
    from trainer.sweeps.screen import Outcome
    from trainer.sweeps.search.spec import SweepSpec
    from trainer.tracking.client import Run

_SHOWN = 5


class SweepProgress(Progress):
    """Shows the trials of a sweep as lines, and what is done now as `Progress` does."""

    def trial_started(self, unit: Unit, run: Run) -> None:
        """A run of a trial goes on."""
        values = "  ".join(f"{name}={value}" for name, value in unit.values.items())
        self.remark(f"Trial {unit.trial}  {values}  ({run.id[:8]})")
        self.step("Searching")

    def trial_ended(self, row: Row, *, is_best: bool, ended: int, total: int | None) -> None:
        """A trial has ended."""
        results = "  ".join(f"{value:.6g}" for value in row.results) or row.why
        of = f" of {total}" if total else ""
        best = f"  {output.style('best so far', fg='green', bold=True)}" if is_best else ""
        took = figures.duration(row.took_s)
        self.remark(f"Trial {row.number}  {row.state}  {results}  {took}  ({ended}{of}){best}")


def first_trials(spec: SweepSpec, trials: Sequence[dict[str, str]], *, as_json: bool) -> None:
    """What --dry-run shows."""
    if as_json:
        output.as_json({"trials": trials, "sampler": spec.sampler, "parallel": spec.parallel})
        return
    names = [dimension.name for dimension in spec.dimensions]
    rows = [(str(number), *(values.get(name, "") for name in names)) for number, values in enumerate(trials)]
    output.table(("TRIAL", *names), rows)
    count = "all of the grid" if spec.trials is None else f"{spec.trials} trials"
    goals = ", ".join(objective.text for objective in spec.objectives)
    click.echo(f"\n{count}, {spec.parallel} at once, judged by {goals}. Later ones depend on how these end.")


def outcome(result: Outcome, spec: SweepSpec, *, as_json: bool) -> None:
    """What came of the sweep."""
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
                *(f"{value:.6g}" for value in row.results),
                *(row.values.get(name, "") for name in names),
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
