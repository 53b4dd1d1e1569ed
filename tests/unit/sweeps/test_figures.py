"""The pictures of a sweep, and which parameters mattered."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot
from PIL import Image
from trainer.sweeps.search.objectives import Objective
from trainer.sweeps.studies.figures import draw, importances
from trainer.sweeps.studies.rebuilt import remembered
from trainer.sweeps.studies.study import Study

from unit.sweeps.searching import LOSS, SMALL, search, searched


def test_a_sweep_has_its_history_importances_and_slices(tmp_path: Path) -> None:
    study = remembered(searched(constraints=(SMALL,)), [])
    search(study, 12)
    study.ended(study.ask().number, None)
    study.ask()
    before = dict(matplotlib.rcParams)
    found = draw(study, tmp_path)
    assert [path.name for path in found] == [
        "optimization_history.png",
        "parameter_importances.png",
        "slices.png",
        "slices_2.png",
    ]
    assert found == sorted(tmp_path.iterdir())
    assert {Image.open(path).size for path in found} == {(1000, 500)}
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) | {"backend": ""} == before | {"backend": ""}


def test_several_objectives_have_a_front_and_a_history_each(tmp_path: Path) -> None:
    study = remembered(searched("depth=int:2,8", objectives=(LOSS, Objective("size/mb", "minimize"))), [])
    for number in range(6):
        study.ended(study.ask().number, [number, -number % 4])
    assert [path.name for path in draw(study, tmp_path)] == [
        "pareto_front.png",
        "optimization_history_loss.png",
        "optimization_history_size_mb.png",
        "parameter_importances_loss.png",
        "parameter_importances_size_mb.png",
        "slices_loss.png",
        "slices_size_mb.png",
    ]


@pytest.mark.parametrize("results", [[], [math.inf], [0.5], [0.5] * 5, [0.5, math.inf, 0.7, -math.inf, 0.1]])
def test_few_results_are_drawn_as_far_as_they_tell(tmp_path: Path, results: list[float]) -> None:
    study = remembered(searched("optimizer=adam,sgd", "momentum=uniform:0,1 if optimizer=sgd"), [])
    for result in results:
        study.ended(study.ask().number, [result])
    found = {path.name for path in draw(study, tmp_path)}
    assert found == (
        {"optimization_history.png", "slices.png"} if any(map(math.isfinite, results)) else set()
    )
    assert importances(study) == {}


def told(values: list[float]) -> Study:
    study = remembered(searched("lr=loguniform:1e-5,1e-1", "unused=uniform:0,1"), [])
    for value in values:
        asked = study.ask()
        study.ended(asked.number, [value * math.log(float(asked.values["lr"]))])
    return study


def test_what_matters_is_told_from_what_does_not() -> None:
    found = importances(told([1.0] * 30))
    assert list(found) == ["lr", "unused"]
    assert found["lr"] > 0.8
    assert sum(found.values()) == pytest.approx(1)


def test_what_does_not_tell_has_no_importances() -> None:
    assert importances(told([1.0] * 3)) == {}
    assert importances(told([0.0] * 8)) == {}
