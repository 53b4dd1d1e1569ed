"""What is searched for, as it is written on a command line."""

from __future__ import annotations

import math

import pytest
from trainer.errors import InvalidInput
from trainer.sweeps.search.objectives import Constraint, Goal, Objective, constraint, objectives


@pytest.mark.parametrize(
    ("said", "goal", "found"),
    [
        (["accuracy"], "maximize", [("accuracy", "maximize")]),
        (["accuracy:maximize", "mb:minimize"], None, [("accuracy", "maximize"), ("mb", "minimize")]),
        (["accuracy", "mb:minimize"], "maximize", [("accuracy", "maximize"), ("mb", "minimize")]),
        (["system/gpu:0"], "minimize", [("system/gpu:0", "minimize")]),
    ],
)
def test_metrics_have_a_direction(said: list[str], goal: Goal, found: list[tuple[str, Goal]]) -> None:
    assert objectives(said, goal) == tuple(Objective(*each) for each in found)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["accuracy"], "--metric accuracy does not say which way is better."),
        (["accuracy:maximise"], "--metric accuracy:maximise: there is no direction maximise."),
        ([":maximize"], "--metric :maximize names no metric."),
        (["mb:minimize", "mb:maximize"], "The metric mb is given twice."),
    ],
)
def test_a_metric_without_a_direction_is_refused(said: list[str], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        objectives(said, None)
    assert refused.value.message == message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("said", "meant"),
    [("max", "maximize"), ("maximum", "maximize"), ("min", "minimize"), ("minimum", "minimize")],
)
def test_a_short_direction_is_written_out_in_the_hint(said: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        objectives([f"loss:{said}"], None)
    assert refused.value.hint == f"--metric loss:{meant}"


def test_a_constraint_is_a_bound_of_a_metric() -> None:
    bound = constraint("seconds_per_image <= 0.02")
    assert bound == Constraint("seconds_per_image", "<=", 0.02)
    assert constraint(bound.text) == bound
    assert bound.excess({"seconds_per_image": 0.05}) == pytest.approx(0.03)
    assert bound.excess({"seconds_per_image": 0.01}) < 0
    assert bound.excess({}) == math.inf
    assert constraint("accuracy>=0.9").excess({"accuracy": 0.8}) == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy<0.9", "accuracy<=much", "<=0.9", "a>=nan"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        constraint(text)
