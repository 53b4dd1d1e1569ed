"""How a sweep goes on, of what its controller knows."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import cast

from trainer.sweeps import report
from trainer.sweeps.judging import OpenTrial
from trainer.sweeps.parent import Row
from trainer.sweeps.report import State, SweepView, TrialView
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.units import Elsewhere, Running
from trainer.tracking.client import Run


class Watched:
    """One sweep, whose views follow one another. It keeps the curves of trials that have ended."""

    def __init__(self, spec: SweepSpec, parent: Run) -> None:
        self._spec, self._parent = spec, parent
        self._metric = spec.objectives[0].metric
        self._curves: dict[int, tuple[float, ...]] = {}

    def view(
        self,
        rows: Mapping[int, Row],
        open_trials: Mapping[int, OpenTrial],
        running: Iterable[Running | Elsewhere],
        best: tuple[int, ...],
    ) -> SweepView:
        """As of now."""
        spec, now = self._spec, time.time()
        started: dict[int, float | None] = {}
        seen = {number: set(trial.ended) for number, trial in open_trials.items()}
        for run in running:
            number = run.unit.trial
            if isinstance(run, Running):
                points = tuple(point.value for point in run.reports(self._metric).history)
                self._curves[number] = max(points, self._curves.get(number, ()), key=len)
            if number in open_trials:
                started.setdefault(number, run.since if isinstance(run, Running) else run.run.started)
                seen[number].add(run.unit.repeat)
        # A trial goes on between its runs, too; of one that could not be started nothing is shown.
        going_on = {
            number: self._open(open_trials[number], repeats, started.get(number))
            for number, repeats in seen.items()
            if repeats
        }
        ended = {row.number: self._row(row) for row in rows.values()}
        trials = [trial for _, trial in sorted({**going_on, **ended}.items())]
        names = tuple(dimension.name for dimension in spec.dimensions)
        view = SweepView(
            spec.objectives, names, trials, best, spec.trials, None, self._parent.name, self._parent.id
        )
        return replace(view, eta_s=report.time_left(view, spec.parallel, now))

    def _open(self, trial: OpenTrial, repeats: Collection[int], started: float | None) -> TrialView:
        curve = self._curves.get(trial.number, ())
        ids = tuple(run_id for repeat, run_id in sorted(trial.run_ids.items()) if repeat in repeats)
        return TrialView(trial.number, trial.values, "running", curve[-1:], curve, ids, started)

    def _row(self, row: Row) -> TrialView:
        state = "stopped" if row.state == "interrupted" else row.state
        return TrialView(
            row.number,
            row.values,
            cast(State, state),
            tuple(row.results),
            self._curves.get(row.number, ()),
            tuple(row.run_ids),
            took_s=row.took_s,
            why=row.why,
        )
