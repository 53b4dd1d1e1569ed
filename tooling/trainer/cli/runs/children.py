"""What `trainer show` shows of the runs within a run: the trials of a sweep, the steps of a script."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import output
from trainer.errors import InvalidInput

if TYPE_CHECKING:
    from trainer.sweeps.report import SweepView
    from trainer.tracking.client import Client, Run
    from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Children:
    """Those of one run; of a sweep, its trials too."""

    runs: Sequence[Run]
    sweep: SweepView | None = None

    def show(self) -> None:
        """Print them; nothing for none."""
        if self.sweep and self.sweep.trials:
            _show_sweep(self.sweep)
        elif self.runs:
            _show_runs(self.runs)

    def as_json(self) -> dict[str, object]:
        """What JSON has of them."""
        from trainer.cli.sweep import trials

        return {
            "children": [run.id for run in self.runs],
            **({"sweep": trials.as_json(self.sweep)} if self.sweep else {}),
        }


def of_run(workspace: Workspace, client: Client, run: Run) -> Children:
    """Those of the run. Of a sweep of which too little is known yet, they are no more than runs."""
    from trainer.sweeps import stored

    runs = stored.children(client, run)
    if not stored.is_sweep(run):
        return Children(runs)
    try:
        spec = stored.spec_of(workspace, client, run)
    except InvalidInput:
        return Children(runs)
    return Children(runs, stored.view(spec, run, runs, time.time()))


def _show_sweep(view: SweepView) -> None:
    from trainer.cli.sweep import trials

    goals = ", ".join(objective.text for objective in view.objectives)
    click.echo(f"\n{output.style('Trials', bold=True)}")
    click.echo(printable.line(f"{trials.summary(view)}; {goals}"))
    trials.print_table(view)
    for best in view.best_trials[:1]:
        front = len(view.best_trials)
        title = "Best trial" if front == 1 else f"One of the {front} best trials, the Pareto front"
        click.echo(f"\n{output.style(title, bold=True)}")
        width = max(map(len, best.values), default=0)
        for name, value in best.values.items():
            click.echo(f"  {printable.line(name):<{width}}  {printable.line(value)}")
        output.next_steps([f"trainer show {view.run_id[:8]}/@best", f"trainer sweep show {view.run_id[:8]}"])


def _show_runs(runs: Sequence[Run]) -> None:
    from trainer.cli.runs.runs import columns, printed
    from trainer.tracking.search import Entry
    from trainer.tracking.search.families import below

    entries = [Entry(run, "", "") for run in runs]
    click.echo(f"\n{output.style('Runs within it', bold=True)}")
    click.echo(printed.summary(entries))
    usual = columns.informative(entries)
    printed.print_table(below(entries, ()), usual, time.time(), lambda *_: None, least=1)
