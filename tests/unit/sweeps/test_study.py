"""A study: what it asks, and that it goes on after a crash as it would have."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from trainer.errors import InvalidInput
from trainer.sweeps.search.domains import Choices
from trainer.sweeps.studies.study import Study, Torn

from unit.helpers import fails
from unit.sweeps.searching import GRID, LOSS, SEARCH, SIZE, SMALL, end, search, searched

INSTALLED = [
    pytest.param(
        name, marks=pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"has no {package}")
    )
    for name, package in (
        ("tpe", "optuna"), ("random", "optuna"), ("qmc", "scipy"), ("cmaes", "cmaes"), ("gp", "torch"),
    )
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def test_no_optuna_is_imported_with_the_module() -> None:
    modules = "trainer.sweeps.studies.study, trainer.sweeps.studies.rebuilt, trainer.sweeps.studies.figures"
    code = f"import sys, {modules}; print('optuna' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"


@pytest.mark.parametrize("sampler", [*INSTALLED, "grid"])
def test_values_are_in_the_space_and_written_as_a_run_takes_them(file: Path, sampler: Any) -> None:
    spec = searched(*(GRID if sampler == "grid" else SEARCH), sampler=sampler)
    found = search(Study.open(file, spec), 12)
    for values in found:
        for dimension in spec.dimensions:
            assert (dimension.name in values) == dimension.applies(values)
            if dimension.name in values:
                assert dimension.domain.has(values[dimension.name])
                if dimension.domain.points and not isinstance(dimension.domain, Choices):
                    assert values[dimension.name] in dimension.domain.points
    assert len({tuple(values.items()) for values in found}) == 12


@pytest.mark.parametrize("sampler", [*INSTALLED, "grid"])
def test_a_resumed_study_asks_what_it_would_have_asked(file: Path, tmp_path: Path, sampler: Any) -> None:
    spec = searched(*(GRID if sampler == "grid" else SEARCH), sampler=sampler, seed=3)
    whole = search(Study.open(tmp_path / "whole", spec), 12)
    cut_off = [values for _ in range(6) for values in search(Study.open(file, spec), 2)]
    assert cut_off == whole


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_another_seed_asks_something_else(file: Path, tmp_path: Path, sampler: Any) -> None:
    first = search(Study.open(file, searched(sampler=sampler, seed=1)), 3)
    assert search(Study.open(tmp_path / "other", searched(sampler=sampler, seed=2)), 3) != first


def test_a_search_finds_better_than_chance(file: Path) -> None:
    study = Study.open(file, searched())
    search(study, 30)
    [best] = study.best
    assert best.results
    assert best.results[0] < 0.3


def test_trials_that_run_are_found_by_who_comes_after(file: Path) -> None:
    spec = searched()
    study = Study.open(file, spec)
    first, second, third = study.ask(), study.ask(), study.ask()
    study.began(first.number, ["a", "b"])
    end(study, second)
    again = Study.open(file, spec)
    assert [(asked.number, asked.run_ids) for asked in again.open_trials] == [(0, ("a", "b")), (2, ())]
    assert [asked.values for asked in again.open_trials] == [first.values, third.values]
    end(again, first)
    assert [trial.state for trial in again.trials] == ["complete", "complete", "running"]


def test_the_end_of_a_trial_is_told_once(file: Path) -> None:
    study = Study.open(file, searched())
    asked = study.ask()
    study.ended(asked.number, [0.5])
    study.ended(asked.number, None)
    study.ended(asked.number, [0.1])
    study.pruned(asked.number)
    assert [(trial.state, trial.results) for trial in study.trials] == [("complete", (0.5,))]


@pytest.mark.parametrize("results", [None, [math.nan]])
def test_what_has_no_result_has_failed(file: Path, results: list[float] | None) -> None:
    study = Study.open(file, searched())
    study.ended(study.ask().number, results)
    assert [(trial.state, trial.results) for trial in study.trials] == [("failed", None)]
    assert study.best == []


def test_tries_come_first_and_once_each(file: Path) -> None:
    spec = searched(tries=({"depth": "3", "optimizer": "adam"}, {"depth": "4"}, {"lr": "0.01"}))
    [first] = search(Study.open(file, spec), 1)
    [second] = search(Study.open(file, spec), 1)
    rest = search(Study.open(file, spec), 12)
    assert (first["depth"], first["optimizer"]) == ("3", "adam")
    assert second["depth"] == "4"
    assert rest[0]["lr"] == "0.01"
    assert [values["lr"] for values in rest].count("0.01") == 1


def test_what_is_enqueued_comes_next(file: Path) -> None:
    study = Study.open(file, searched())
    [values] = search(study, 1)
    study.enqueue(values)
    assert study.waiting == 1
    assert len(study.trials) == 1
    again = Study.open(file, study.spec).ask()
    assert (again.number, again.values) == (1, values)


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"dept": "3"}, "dept=3 cannot be tried: dept is not searched.",
         "Searched are depth, optimizer; the others are the same for all trials."),
        ({"depth": "9"}, "depth=9 cannot be tried: it is not in int:2,8.",
         "Try a value that is, or search a larger range."),
    ],
)  # fmt: skip
def test_what_is_not_in_the_space_cannot_be_tried(
    file: Path, values: dict[str, str], message: str, hint: str
) -> None:
    with fails(InvalidInput, message, hint):
        Study.open(file, searched("depth=int:2,8", "optimizer=adam,sgd", tries=(values,)))
    assert not file.exists()


def test_a_grid_is_gone_through_once(file: Path) -> None:
    spec = searched(*GRID, sampler="grid", tries=({"depth": "2", "optimizer": "adam"},))
    study = Study.open(file, spec)
    found = []
    while not study.is_exhausted:
        asked = study.ask()
        end(study, asked)
        found.append(dict(asked.values))
        study = Study.open(file, spec)
    assert len(found) == 3 * (1 + 4)
    assert len({tuple(sorted(values.items())) for values in found}) == len(found)
    assert found[0] == {"depth": "2", "optimizer": "adam"}


def test_a_part_of_a_grid_is_spread_over_it(file: Path) -> None:
    study = Study.open(file, searched("x=int:1,100", "y=int:1,100", sampler="grid", trials=20))
    found = [study.ask().values["x"] for _ in range(20)]
    assert len(set(found)) > 10


def test_the_best_keeps_to_the_constraints(file: Path) -> None:
    study = Study.open(file, searched("depth=int:2,8", constraints=(SMALL,), objectives=(LOSS,)))
    for result, excess in ((0.1, 2.0), (0.5, -1.0), (0.7, 0.0), (0.01, math.inf)):
        study.ended(study.ask().number, [result], [excess])
    assert [trial.number for trial in study.best] == [1]
    assert [trial.is_feasible for trial in study.trials] == [False, True, True, False]


def test_constraints_are_learnt_from(file: Path) -> None:
    study = Study.open(file, searched("depth=int:2,80", constraints=(SMALL,), objectives=(LOSS,)))
    for _ in range(30):
        asked = study.ask()
        depth = float(asked.values["depth"])
        study.ended(asked.number, [-depth], [depth - 20])
    late = [int(trial.values["depth"]) for trial in study.trials[15:]]
    assert sum(depth <= 30 for depth in late) >= 10


def test_several_objectives_have_a_front(file: Path) -> None:
    study = Study.open(file, searched("depth=int:2,8", objectives=(LOSS, SIZE)))
    for results in ((1.0, 3.0), (2.0, 2.0), (3.0, 3.0), (3.0, 1.0)):
        study.ended(study.ask().number, results)
    assert {trial.results for trial in study.best} == {(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)}
    assert not study.should_prune(0)


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband", "none"])
def test_a_pruner_gives_up_what_is_worse(file: Path, pruner: Any) -> None:
    spec = searched("depth=int:2,8", pruner=pruner, seed=1)
    study = Study.open(file, spec)
    for _ in range(8):
        asked = study.ask()
        for step in range(20):
            study.report(asked.number, step, 0.1)
            assert not study.should_prune(asked.number)
        study.ended(asked.number, [0.1])
    given_up = 0
    for _ in range(6):
        study = Study.open(file, spec)  # who goes on after a crash judges alike
        asked = study.ask()
        for step in range(20):
            study.report(asked.number, step, 5.0)
            if study.should_prune(asked.number):
                study.pruned(asked.number)
                given_up += 1
                break
    assert given_up >= (0 if pruner == "none" else 5)
    assert [trial.state for trial in study.trials].count("pruned") == given_up


def test_reports_without_a_step_count_by_their_order(file: Path) -> None:
    study = Study.open(file, searched())
    number = study.ask().number
    for value in (3.0, 2.0, 1.0):
        study.report(number, None, value)
    study.report(number, 1, 9.0)
    assert dict(study.trials[0].reports) == {0: 3.0, 1: 2.0, 2: 1.0}


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"sampler": "cmaes"}, "The sampler cmaes needs the package cmaes, which is not installed.",
         "Install it beside trainer (uv pip install cmaes), or take --sampler tpe."),
        ({"sampler": "gp"}, "The sampler gp needs the package torch, which is not installed.",
         "Install it beside trainer (uv pip install torch), or take --sampler tpe."),
        ({"pruner": "asha", "objectives": (LOSS, SIZE)},
         "The pruner asha judges a trial by one metric, and there are 2.",
         "Take --pruner none, or one --metric."),
        ({"pruner": "median", "sampler": "grid"},
         "A grid is tried to the end at each of its points, which a pruner does not do.",
         "Take --pruner none, or another sampler."),
        ({"sampler": "grid", "trials": 16}, "The grid has 15 points, and 16 trials are asked for.",
         "Take --trials 15, or leave it out."),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_so_is_refused_before_there_is_a_file(
    monkeypatch: pytest.MonkeyPatch, file: Path, fields: dict[str, Any], message: str, hint: str
) -> None:
    for package in ("cmaes", "torch"):
        monkeypatch.setitem(sys.modules, package, None)
    with fails(InvalidInput, message, hint):
        Study.open(file, searched(*GRID, **fields))
    assert not file.exists()


def test_cmaes_with_several_objectives_is_refused(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    with fails(
        InvalidInput, "The sampler cmaes knows one objective.", "Take --sampler tpe, or one --metric."
    ):
        Study.open(file, searched(sampler="cmaes", objectives=(LOSS, SIZE)))


def test_a_journal_cut_off_anywhere_goes_on(file: Path, tmp_path: Path) -> None:
    spec = searched(tries=({"depth": "3"},))
    study = Study.open(file, spec)
    search(study, 3)
    study.ask()
    content = file.read_bytes()
    for length in range(0, len(content), 197):
        cut = tmp_path / "cut"
        cut.write_bytes(content[:length])
        found = Study.open(cut, spec)
        assert all({"depth", "optimizer", "lr"} <= set(trial.values) for trial in found.trials)
        whole = max(len(found.trials) - 1, 0)  # nobody was told yet what the last one is
        assert found.trials[:whole] == study.trials[:whole]
        following = found.ask()
        end(found, following)
        assert Study.open(cut, spec).trials[following.number].state == "complete"


@pytest.mark.parametrize("damage", [b"\0" * 40 + b"\n", b'{"op_code":5}\n', b"[]\n", b"\xff\xfe\n", b"7\n"])
def test_a_journal_that_is_none_is_said_to_be_torn(file: Path, damage: bytes) -> None:
    search(Study.open(file, searched()), 1)
    content = file.read_bytes()
    middle = content.index(b"\n") + 1
    for damaged in (content[:middle] + damage + content[middle:], content + damage):
        file.write_bytes(damaged)
        with pytest.raises(Torn, match=r"study\.journal"):
            Study.open(file, searched())


def test_a_lock_that_was_left_behind_is_not_waited_for(file: Path) -> None:
    spec = searched()
    search(Study.open(file, spec), 1)
    file.with_name("study.journal.lock").symlink_to(file)
    before = time.monotonic()
    search(Study.open(file, spec), 1)
    assert time.monotonic() - before < 10
    assert [path.name for path in file.parent.iterdir()] == ["study.journal"]


def test_nothing_is_printed(file: Path, capfd: pytest.CaptureFixture[str], recwarn: Any) -> None:
    study = Study.open(file, searched(constraints=(SMALL,), sampler="qmc"))
    search(study, 3)
    study.ended(study.ask().number, [math.nan], [0])
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
