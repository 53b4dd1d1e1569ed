import math

import pytest
from trainer.errors import InvalidInput
from trainer.tracking import tolerance
from trainer.tracking.tolerance import Tolerance

from unit.helpers import fails

OLD = {"accuracy": 0.9, "loss": 0.5, "seconds_fit": 3.0, "system/cpu": 1.0, "nothing": math.nan}


def verdicts(new: dict[str, float], *said: str) -> dict[str, str]:
    compared = tolerance.judge(OLD, new, tolerance.tolerances(said, OLD))
    return {item.row.name: item.verdict for item in compared}


def test_metrics_are_compared_to_the_last_bit_and_times_are_not() -> None:
    new = {**OLD, "seconds_fit": 4.0, "system/cpu": 2.0}
    same = {"accuracy": "equal", "loss": "equal", "nothing": "equal", "seconds_fit": "not compared"}
    assert verdicts(new) == same
    assert next(iter(verdicts({**new, "loss": math.nextafter(0.5, 1)}).items())) == ("loss", "differs")


def test_a_metric_that_one_run_does_not_have_differs() -> None:
    new = {name: value for name, value in OLD.items() if name != "loss"} | {"f1": 0.8}
    compared = tolerance.judge(OLD, new, tolerance.tolerances(["10"], OLD))
    assert {item.row.name for item in compared if item.verdict == "differs"} == {"loss", "f1"}
    assert not tolerance.agree(compared)


@pytest.mark.parametrize(
    ("said", "loss", "verdict"),
    [
        (["0.01"], 0.509, "within tolerance"),
        (["0.01"], 0.52, "differs"),
        (["1%"], 0.504, "within tolerance"),
        (["1%"], 0.506, "differs"),
        (["1%", "loss=.1"], 0.59, "within tolerance"),
        (["accuracy=1"], 0.506, "differs"),
        (["1e-2"], 0.509, "within tolerance"),
        (["1"], math.nan, "differs"),
    ],
)
def test_a_tolerance_is_absolute_or_relative_for_one_metric_or_all(
    said: list[str], loss: float, verdict: str
) -> None:
    assert verdicts({**OLD, "loss": loss}, *said)["loss"] == verdict


def test_a_time_is_compared_where_a_tolerance_names_it() -> None:
    assert verdicts({**OLD, "seconds_fit": 9.0}, "seconds_fit=1")["seconds_fit"] == "differs"


@pytest.mark.parametrize("said", ["much", "loss=", "-1", "1%%", "=", "nan"])
def test_what_is_no_tolerance_is_refused(said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tolerance.tolerances([said], OLD)
    assert caught.value.message == f"--tolerance {said} is invalid."


def test_a_tolerance_of_no_metric_names_the_near_one() -> None:
    with fails(InvalidInput, "The run has no metric los.", "Did you mean loss?"):
        tolerance.tolerances(["los=1"], OLD)


def test_a_run_without_metrics_agrees_in_nothing() -> None:
    times = {"seconds_fit": 1.0}
    assert tolerance.is_nothing(tolerance.judge({}, {}, tolerance.tolerances([], {})))
    assert tolerance.is_nothing(tolerance.judge(times, times, tolerance.tolerances([], times)))
    assert not tolerance.is_nothing(tolerance.judge(OLD, OLD, tolerance.tolerances([], OLD)))


def test_a_tolerance_is_written_as_it_was_said() -> None:
    assert [str(Tolerance(0.01, True)), str(Tolerance(0.5))] == ["1%", "0.5"]
