"""A sweep as it is shown: what is the best, how long it goes on, and what its controller knows of it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from trainer.cli.sweep import shown
from trainer.sweeps import report
from trainer.sweeps.judging import OpenTrial
from trainer.sweeps.parent import Row
from trainer.sweeps.report import SweepView, TrialView
from trainer.sweeps.requests import Unit
from trainer.sweeps.search.objectives import Objective
from trainer.sweeps.units import Ended, Running
from trainer.sweeps.watching import Watched
from trainer.tracking.client import Run

from unit.sweeps.searching import LOSS, SIZE, searched

ACCURACY = Objective("accuracy", "maximize")


def trial(number: int, *results: float, **fields: Any) -> TrialView:
    return TrialView(number, {"depth": str(number)}, **{"state": "finished", "results": results} | fields)


@pytest.mark.parametrize(
    ("objectives", "trials", "best"),
    [
        ((ACCURACY,), [trial(0, 0.5), trial(1, 0.9), trial(2, 0.9)], (1,)),
        ((LOSS,), [trial(0, 0.5), trial(1, 0.9)], (0,)),
        ((LOSS,), [trial(0, 0.1, is_feasible=False), trial(1, 0.9)], (1,)),
        ((LOSS,), [trial(0, 0.1, state="running"), trial(1, state="failed")], ()),
        ((LOSS, SIZE), [trial(0, 1, 9), trial(1, 9, 1), trial(2, 9, 9), trial(3, 5, 5)], (0, 1, 3)),
        ((LOSS, SIZE), [trial(0, 1, 9), trial(1, 1, 9)], (0, 1)),
    ],
)
def test_the_best_trials(
    objectives: tuple[Objective, ...], trials: list[TrialView], best: tuple[int, ...]
) -> None:
    assert report.best_of(objectives, trials) == best


def test_the_time_that_is_left_is_that_of_the_trials_that_are_over() -> None:
    over = [trial(0, 1, took_s=10), trial(1, 1, took_s=30), trial(2, state="failed", took_s=0.1)]
    goes_on = trial(3, state="running", started=100.0)
    view = SweepView((LOSS,), ("depth",), [*over, goes_on], total=6)
    assert report.time_left(view, 1, 105.0) == 15 + 2 * 20
    assert report.time_left(view, 2, 105.0) == (15 + 2 * 20) / 2
    assert report.time_left(SweepView((LOSS,), (), [goes_on], total=6), 1, 105.0) is None
    assert report.time_left(SweepView((LOSS,), (), over), 1, 105.0) is None


def test_trials_are_ranked_by_the_metric_and_those_without_one_come_last() -> None:
    trials = [trial(0, 0.5), trial(1, state="failed"), trial(2, 0.9), trial(3, 0.99, is_feasible=False)]
    view = SweepView((ACCURACY,), (), trials, best=(2,))
    assert [one.number for one in view.ranked] == [2, 0, 3, 1]


def _running(number: int, *values: float, since: float = 0.0, repeat: int = 0) -> Running:
    found = SimpleNamespace(history=[SimpleNamespace(value=value) for value in values])
    running = object.__new__(Running)
    running.unit = Unit(number, {}, repeat)
    running.since = since
    running._reports = cast(Any, found)
    return running


def test_a_controller_fills_in_what_it_knows_and_curves_are_kept() -> None:
    watched = Watched(searched(trials=9, parallel=2), Run("p1", "7", "brave-hen", "RUNNING", ""))
    opened = {
        0: OpenTrial(0, {"depth": "2"}, run_ids={0: "r0"}),
        1: OpenTrial(1, {"depth": "3"}, run_ids={0: "r1"}),
        2: OpenTrial(2, {"depth": "4"}),  # waits for a slot
    }
    first = watched.view({}, opened, [_running(0, 0.9, 0.5, since=5.0), _running(1)], ())
    assert [(one.number, one.state, one.history, one.results) for one in first.trials] == [
        (0, "running", (0.9, 0.5), (0.5,)),
        (1, "running", (), ()),
    ]
    assert (first.trials[0].started, first.trials[0].run_id, first.total) == (5.0, "r0", 9)
    row = Row(0, "finished", {"depth": "2"}, (0.25,), ("r0",), 12.0)
    then = watched.view({0: row}, {1: opened[1]}, [_running(1, 0.7)], (0,))
    assert [(one.state, one.history, one.results, one.took_s) for one in then.trials] == [
        ("finished", (0.9, 0.5), (0.25,), 12.0),
        ("running", (0.7,), (0.7,), None),
    ]
    assert then.eta_s is not None
    assert (then.done, [one.number for one in then.best_trials]) == (1, [0])


def test_each_run_of_a_trial_is_said_to_start_once() -> None:
    spec = searched(trials=9, repeat=2)
    parent = Run("p1", "7", "brave-hen", "RUNNING", "")
    watched = Watched(spec, parent)
    opened = OpenTrial(0, {"depth": "2"}, run_ids={0: "r0", 1: "could not be started"})
    before = watched.view({}, {}, [], ())
    first = watched.view({}, {0: opened}, [_running(0)], ())
    assert shown.changes(before, first) == ["Trial 0 started: depth=2 (r0)"]
    opened.ended[0] = Ended(Unit(0, {}), parent, "finished", {})
    between = watched.view({}, {0: opened}, [], ())
    assert shown.changes(first, between) == []
    opened.run_ids[1] = "r1"
    second = watched.view({}, {0: opened}, [_running(0, repeat=1)], ())
    assert shown.changes(between, second) == ["Trial 0 started: depth=2 (r1)"]
    assert shown.changes(None, second) == ["Trial 0 started: depth=2 (r1)"]
