"""The trials of a sweep as a table, and as JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import figures, output
from trainer.counted import counted

if TYPE_CHECKING:
    from rich.text import Text

    from trainer.sweeps.report import SweepView, TrialView

COLOURS: Mapping[str, str] = {
    "running": "yellow",
    "finished": "green",
    "failed": "red",
    "pruned": "cyan",
    "stopped": "red",
}
"""Of the states of trials."""
_SHOWN = 20
_IN_ORDER = ("running", "finished", "pruned", "stopped", "failed")


def summary(view: SweepView) -> str:
    """How many there are and how they ended: `20 trials: 18 finished, 2 pruned`."""
    number = len(view.trials)
    if view.total and number < view.total:
        return f"{number} of {counted(view.total, 'trial')}: {counts(view)}"
    return f"{counted(number, 'trial')}: {counts(view)}"


def counts(view: SweepView) -> str:
    """How many are in which state: `2 running, 9 finished, 1 failed`."""
    states = [trial.state for trial in view.trials]
    return ", ".join(f"{states.count(state)} {state}" for state in _IN_ORDER if state in states)


def print_table(view: SweepView, *, everything: bool = False) -> None:
    """Print the best trials first, a star behind the best; all of them where `everything` is asked for.

    Below a trial that failed, or breaks a constraint, it says so.
    """
    ranked = view.ranked
    shown = ranked if everything else ranked[:_SHOWN]
    metrics = [printable.line(objective.metric) for objective in view.objectives]
    headings = ["TRIAL", "STATE", "RUN", "TOOK", *metrics, *map(printable.line, view.searched)]
    rows: list[Sequence[str | Text] | output.Remark] = []
    for trial in shown:
        rows.append(_cells(view, trial))
        if trial.remark:
            rows.append(output.Remark(f"└─ {trial.remark}", below=1))
    output.table(headings, rows, numbers=len(metrics) + len(view.searched), least=4 + len(metrics))
    if left := len(ranked) - len(shown):
        click.echo(f"… and {left} more: trainer sweep show {view.run_id[:8]}")


def _cells(view: SweepView, trial: TrialView) -> list[str | Text]:
    star = " *" if trial.number in view.best else ""
    results = [figures.metric(value) for value in trial.results]
    results += [""] * (len(view.objectives) - len(results))
    return [
        f"{trial.number}{star}",
        output.coloured(trial.state, COLOURS[trial.state]),
        trial.run_id[:8],
        figures.duration(trial.seconds(time.time())),
        *results,
        *(printable.line(figures.rounded(trial.values.get(name, ""))) for name in view.searched),
    ]


def as_json(view: SweepView) -> dict[str, object]:
    """All of it."""
    return {
        "run_id": view.run_id,
        "name": view.name,
        "metrics": {objective.metric: objective.goal for objective in view.objectives},
        "total": view.total,
        "best": list(view.best),
        "trials": [
            {
                "trial": trial.number,
                "state": trial.state,
                "parameters": dict(trial.values),
                "metrics": {
                    objective.metric: output.finite(value)
                    for objective, value in zip(view.objectives, trial.results, strict=False)
                },
                "run_ids": list(trial.run_ids),
                "started": trial.started,
                "duration_seconds": None if trial.took_s is None else round(trial.took_s, 3),
                "is_feasible": trial.is_feasible,
                "why": trial.why,
            }
            for trial in view.trials
        ],
    }
