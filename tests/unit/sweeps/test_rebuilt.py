"""A study that is made again from the runs of its trials goes on as the lost one would have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trainer.sweeps.studies.rebuilt import rebuild, remembered
from trainer.sweeps.studies.study import Study

from unit.sweeps.searching import GRID, LOSS, SEARCH, SIZE, SMALL, end, search, searched
from unit.sweeps.test_study import INSTALLED


@pytest.mark.parametrize("sampler", [*INSTALLED, "grid"])
def test_it_asks_what_the_lost_one_would_have_asked(tmp_path: Path, sampler: Any) -> None:
    spec = searched(
        *(GRID if sampler == "grid" else SEARCH),
        sampler=sampler,
        tries=({"depth": "2"},),
        constraints=(SMALL,),
    )
    lost = Study.open(tmp_path / "lost", spec)
    search(lost, 12)
    again = rebuild(tmp_path / "again", spec, lost.trials)
    assert again.trials == lost.trials
    assert again.best == lost.best
    assert search(again, 2) == search(lost, 2)


def test_several_objectives_come_back(tmp_path: Path) -> None:
    spec = searched(objectives=(LOSS, SIZE))
    lost = Study.open(tmp_path / "lost", spec)
    search(lost, 12)
    again = rebuild(tmp_path / "again", spec, lost.trials)
    assert again.best == lost.best
    assert again.ask() == lost.ask()


def test_trials_of_every_state_come_back(tmp_path: Path) -> None:
    spec = searched(pruner="median")
    lost = Study.open(tmp_path / "lost", spec)
    for state in ("complete", "failed", "pruned", "running"):
        asked = lost.ask()
        lost.began(asked.number, [f"run of {state}"])
        lost.report(asked.number, 4, 0.25)
        if state == "pruned":
            lost.pruned(asked.number)
        elif state != "running":
            lost.ended(asked.number, [0.5] if state == "complete" else None)
    again = rebuild(tmp_path / "again", spec, lost.trials)
    assert again.trials == lost.trials
    assert again.open_trials == lost.open_trials
    [running] = again.open_trials
    end(again, running)
    assert again.ask().number == 4


def test_a_pruner_judges_alike(tmp_path: Path) -> None:
    spec = searched(pruner="asha")
    lost = Study.open(tmp_path / "lost", spec)
    for _ in range(6):
        asked = lost.ask()
        for step in range(8):
            lost.report(asked.number, step, 0.1)
            lost.should_prune(asked.number)
        lost.ended(asked.number, [0.1])
    again = rebuild(tmp_path / "again", spec, lost.trials)
    number = again.ask().number
    again.report(number, 1, 0.5)
    assert again.should_prune(number)


def test_numbers_are_kept_where_runs_are_gone(tmp_path: Path) -> None:
    spec = searched()
    lost = Study.open(tmp_path / "lost", spec)
    search(lost, 5)
    left = [trial for trial in lost.trials if trial.number not in (0, 3)]
    again = rebuild(tmp_path / "again", spec, left)
    assert [trial.number for trial in again.trials] == [0, 1, 2, 3, 4]
    assert [trial.number for trial in again.trials if trial.state == "failed"] == [0, 3]
    assert [trial for trial in again.trials if trial.state == "complete"] == left
    assert again.ask().number == 5


def test_tries_that_nobody_has_had_are_still_to_come(tmp_path: Path) -> None:
    spec = searched(tries=({"depth": "2"}, {"optimizer": "adam", "momentum": "0.5"}, {"depth": "4"}))
    lost = Study.open(tmp_path / "lost", spec)
    search(lost, 2)
    again = rebuild(tmp_path / "again", spec, lost.trials[1:])
    found = search(again, 3)
    assert [values["depth"] for values in found[:2]] == ["2", "4"]
    assert again.waiting == 0


def test_whatever_was_in_the_file_is_replaced(tmp_path: Path) -> None:
    spec = searched()
    lost = Study.open(tmp_path / "lost", spec)
    search(lost, 2)
    file = tmp_path / "again"
    file.write_bytes(b"\0\0\n")
    (tmp_path / ".again.unfinished").write_bytes(b"torn, too\n")
    assert rebuild(file, spec, lost.trials).trials == lost.trials
    assert {path.name for path in tmp_path.iterdir()} == {"again", "lost"}


def test_other_parameters_of_a_run_do_no_harm() -> None:
    spec = searched()
    study = remembered(spec, [])
    asked = study.ask()
    end(study, asked)
    [trial] = study.trials
    given = replace(trial, values={**trial.values, "epochs": "10"})
    assert remembered(spec, [given]).trials == [trial]
