"""The loop of a sweep: trials are begun as slots get free, and what they come to is told to the study.

The runs are the truth, the study is a cache. The id of a run is written to its trial before its job exists:
whoever takes the sweep up again finds every run that there may be.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from trainer.errors import (
    EngineError,
    Interrupted,
    InvalidInput,
    NoFreeSlot,
    SweepFailed,
    TrackingError,
    TrainerError,
)
from trainer.subprocesses import deferred_signals, interruptible, kept_interruptions
from trainer.sweeps import judging, parent, resume, units
from trainer.sweeps.events import Events
from trainer.sweeps.judging import OpenTrial
from trainer.sweeps.opening import Opened
from trainer.sweeps.parent import Row
from trainer.sweeps.patience import Patience
from trainer.sweeps.requests import Unit
from trainer.sweeps.screen import Outcome, Screen
from trainer.sweeps.slots import Slots
from trainer.sweeps.units import Elsewhere, Ended, Event, Running, Settled
from trainer.sweeps.watching import Watched
from trainer.tracking.client import Run, Status
from trainer.tracking.search.trials import State, trial_of

_LOOK_S = 0.25
_AGAIN = 3
"""So often a trial is run again whose run was stopped or lost."""


class Controller:
    """Runs one sweep. Not for several threads."""

    def __init__(self, sweep: Opened, screen: Screen) -> None:
        self._sweep = sweep
        self._screen = screen
        self._study = sweep.study
        self._client = sweep.ready.client
        self._events = Events[Event]()
        self._trials: dict[int, OpenTrial] = {}
        self._waiting: deque[Unit] = deque()
        self._running: dict[str, Running | Elsewhere] = {}
        self._unsettled: set[str] = set()
        self._rows: dict[int, Row] = {}
        self._best: tuple[int, ...] = ()
        self._without_better = 0
        self._over = ""
        self._is_timed_out = False
        self._began = time.monotonic()
        self._metric = sweep.spec.objectives[0].metric
        self._watched = Watched(sweep.spec, sweep.parent)
        self._patience = Patience()
        self._slots = Slots(sweep, screen)

    def run(self) -> Outcome:
        """Run all trials to their end, beginning with what earlier processes left.

        Raises `Interrupted` when a signal came, and `TrainerError` where the sweep makes no sense: then its
        runs are stopped, and the parent run says why.
        """
        try:
            with interruptible(), kept_interruptions():
                self._take_over(self._sweep.children)
                self._show()
                self._begin_trials()
                while self._running or self._waiting:
                    self._heed(self._events.next(_LOOK_S))
                    self._look_at_reports()
                    self._show()
                    self._begin_trials()
                self._show()
                if error := judging.without_result(list(self._rows.values()), are_all=True):
                    raise error
        except BaseException as error:
            self._stop_all()
            self._slots.close()
            self._finish_early(error)
            raise
        with deferred_signals():
            self._slots.close()
            self._settle()
            return self._finish("FINISHED", self._over or "done")

    # What there is already

    def _take_over(self, children: Sequence[Run]) -> None:
        """What became of every trial is told by its runs; the study hears it again, if it knew."""
        for trial in self._study.trials:
            self._trials[trial.number] = OpenTrial(trial.number, trial.values)
        for run in children:
            if (known := self._trials.get(trial_of(run))) is not None:
                self._take_over_run(resume.take(self._sweep.workspace, self._client, run, known.values))
        for trial in self._study.trials:
            if trial.number in self._trials and trial.state != "running":  # its runs were deleted
                state: State = "pruned" if trial.state == "pruned" else "failed"
                row = Row(trial.number, state, trial.values, trial.results or (), trial.run_ids, 0)
                self._rows[trial.number] = row
                del self._trials[trial.number]
        for left in self._trials.values():
            self._queue(left)
        self._look_at_best()
        self._without_better = sum(number > max(self._best, default=-1) for number in self._rows)

    def _take_over_run(self, found: Running | Elsewhere | Ended) -> None:
        if not isinstance(found, Ended):
            self._look_after(found)
        elif found.state != "interrupted":  # else it is run again
            self._ended(found)

    def _queue(self, trial: OpenTrial) -> None:
        """Have those of its runs made that there are not."""
        units_running = [run.unit for run in self._running.values() if run.unit.trial == trial.number]
        there = {*trial.ended, *(unit.repeat for unit in units_running)}
        units = [Unit(trial.number, trial.values, index) for index in range(self._sweep.spec.repeat)]
        self._waiting.extend(unit for unit in units if unit.repeat not in there)

    # Beginning

    def _begin_trials(self) -> None:
        if self._patience.waits:
            return
        while len(self._running) < self._sweep.spec.parallel and (unit := self._next_unit()):
            try:
                self._start(unit)
            except (NoFreeSlot, EngineError, TrackingError) as error:
                self._waiting.appendleft(unit)
                if self._patience.failed(error):
                    self._screen.remark(f"Trial {unit.trial} waits. {error.message}")
                    self._screen.step("Waiting")
                return
            self._patience.succeeded()

    def _next_unit(self) -> Unit | None:
        if not self._waiting and not self._is_over():
            asked = self._study.ask()
            trial = self._trials[asked.number] = OpenTrial(asked.number, asked.values)
            self._queue(trial)
        return self._waiting.popleft() if self._waiting else None

    def _is_over(self) -> bool:
        """Whether no other trial is to be asked for."""
        spec, asked = self._sweep.spec, len(self._trials) + len(self._rows)
        if self._over:
            return True
        if spec.stop_after is not None and self._without_better >= spec.stop_after:
            self._over = f"{self._without_better} trials without a better one"
        return bool(self._over) or asked == spec.trials or self._study.is_exhausted

    def _start(self, unit: Unit) -> None:
        sweep = self._sweep
        ready = sweep.ready.for_plan(sweep.plan(unit), self._screen)
        known = self._trials[unit.trial]

        def created(run: Run) -> None:
            known.run_ids[unit.repeat] = run.id
            self._study.began(unit.trial, tuple(known.run_ids.values()))

        self._look_after(self._slots.start(ready, unit, created))
        self._show()

    def _look_after(self, running: Running | Elsewhere) -> None:
        self._running[running.run.id] = running
        self._unsettled.add(running.run.id)
        self._trials[running.unit.trial].run_ids[running.unit.repeat] = running.run.id
        running.follow(self._sweep.workspace, self._client, self._events)

    def _look_at_reports(self) -> None:
        """Tell the study how the trials do, and stop those that it gives up."""
        for running in self._running.values():
            if not isinstance(running, Running):
                continue
            for report in running.reports(self._metric).new(self._client):
                self._study.report(running.unit.trial, report.step, report.value)
                if self._study.should_prune(running.unit.trial):
                    running.prune(self._sweep.workspace, report.step)
                    break

    # Ending

    def _heed(self, event: Event | None) -> None:
        match event:
            case Ended():
                self._running.pop(event.run.id, None)
                self._ended(event)
            case Settled():
                self._unsettled.discard(event.run.id)
                if event.error:
                    self._screen.remark(f"{event.error.message}\n{event.error.hint}")
        timeout_s = self._sweep.spec.timeout_s
        if timeout_s is not None and time.monotonic() - self._began > timeout_s and not self._is_timed_out:
            self._is_timed_out, self._over = True, "the time is over"
            self._waiting.clear()
            self._stop("the --timeout of the sweep")

    def _ended(self, ended: Ended) -> None:
        trial = self._trials[ended.unit.trial]
        trial.run_ids[ended.unit.repeat] = ended.run.id
        if ended.state == "interrupted":  # somebody else's doing, and none of the trial's
            trial.interruptions += 1
            if not self._over and trial.interruptions <= _AGAIN:
                self._waiting.appendleft(ended.unit)
                return
            ended = replace(ended, state="stopped" if self._over else "failed")
        trial.ended[ended.unit.repeat] = ended
        if len(trial.ended) == self._sweep.spec.repeat:
            self._judge(trial)

    def _judge(self, trial: OpenTrial) -> None:
        spec, ended = self._sweep.spec, [trial.ended[index] for index in sorted(trial.ended)]
        verdict = judging.judge(spec, ended)
        if verdict.missing and not any(row.results for row in self._rows.values()):
            raise judging.without_metric(verdict.missing, ended[0])  # none will have it
        if verdict.state == "pruned":
            self._study.pruned(trial.number)
        else:
            self._study.ended(trial.number, verdict.results or None, verdict.broken)
        ids, took = tuple(trial.run_ids.values()), sum(each.took_s for each in ended)
        row = Row(trial.number, verdict.state, trial.values, verdict.results, ids, took, verdict.why)
        self._rows[trial.number] = row
        del self._trials[trial.number]
        self._look_at_best()
        if error := judging.without_result(list(self._rows.values()), are_all=False):
            raise error

    def _show(self) -> None:
        running = self._running.values()
        self._screen.shows(self._watched.view(self._rows, self._trials, running, self._best))

    def _look_at_best(self) -> None:
        best = tuple(trial.number for trial in self._study.best)
        is_better = best != self._best and bool(best)
        self._without_better = 0 if is_better else self._without_better + 1
        self._best = best

    def _settle(self) -> None:
        """Wait until the tracking server has all runs."""
        self._screen.step("Storing the results")
        while self._unsettled:
            self._heed(self._events.next(_LOOK_S))

    def _stop(self, by: str) -> None:
        for running in self._running.values():
            if isinstance(running, Running):
                running.stop(self._sweep.workspace, by)

    def _stop_all(self) -> None:
        """Stop the trials of a sweep that ends early, which is truthful: they are KILLED."""
        with deferred_signals(drop=True):
            if self._running:
                self._screen.step("Stopping the trials")
            self._stop(units.BY)
            elsewhere = {key for key, found in self._running.items() if isinstance(found, Elsewhere)}
            left = self._unsettled - elsewhere
            while left:
                event = self._events.next(_LOOK_S)
                if isinstance(event, Settled):
                    left.discard(event.run.id)

    # The parent run

    def _finish_early(self, error: BaseException) -> None:
        """Have the parent say why; what a server cannot be told now is told when the sweep goes on."""
        stopped = isinstance(error, Interrupted)
        reason = "stopped" if stopped else error.message if isinstance(error, TrainerError) else str(error)
        makes_no_sense = isinstance(error, InvalidInput | SweepFailed)
        with deferred_signals(drop=True), contextlib.suppress(TrainerError):
            self._finish("FAILED" if makes_no_sense else "KILLED", reason)

    def _finish(self, status: Status, reason: str) -> Outcome:
        sweep = self._sweep
        rows = [self._rows[number] for number in sorted(self._rows)]
        best = [self._rows[number] for number in self._best if number in self._rows]
        parent.finish(self._client, sweep.parent, self._study, rows, best, status, reason)
        if status != "KILLED":
            sweep.folder.remove()
        return Outcome(sweep.parent, status, rows, best, reason)
