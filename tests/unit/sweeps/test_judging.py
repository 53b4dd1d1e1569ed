"""What trials come to, and when a sweep has failed."""

import pytest
from trainer.cli.sweep import printed
from trainer.sweeps import judging
from trainer.sweeps.parent import Row
from trainer.sweeps.requests import Unit
from trainer.sweeps.screen import Outcome
from trainer.sweeps.search.objectives import Constraint
from trainer.sweeps.units import Ended
from trainer.tracking.client import Run

from unit.sweeps.searching import searched

PARENT = Run("p1", "7", "brave-hen", "FINISHED", "")
SPEC = searched(constraints=(Constraint("mb", "<=", 5.0), Constraint("seconds", "<=", 3.0)))


def _row(number: int, state: str = "failed", *results: float) -> Row:
    why = "exit code 3" if state == "failed" else ""
    return Row(number, state, {}, results, (f"r{number}",), 1.0, why)


@pytest.mark.parametrize(
    ("rows", "first", "all_of_them"),
    [
        ([], "", ""),
        ([_row(0)], "", "The only trial failed: exit code 3."),
        ([_row(0), _row(1)], "", "All 2 trials failed: exit code 3."),
        (
            [_row(0), _row(1), _row(2)],
            *(f"{all_} 3 trials failed: exit code 3." for all_ in ("The first", "All")),
        ),
        ([_row(0), _row(1, "stopped")], "", "No trial has a result, and 1 of 2 failed: exit code 3."),
        ([_row(0, "stopped")], "", ""),
        ([_row(0), _row(1), _row(2), _row(3, "finished", 0.5)], "", ""),
    ],
)
def test_a_sweep_without_any_result_has_failed(rows: list[Row], first: str, all_of_them: str) -> None:
    for are_all, message in ((False, first), (True, all_of_them)):
        error = judging.without_result(rows, are_all=are_all)
        assert (error.message if error else "") == message
        if error:
            assert (
                error.hint
                == f"Look at one: trainer logs r{len([r for r in rows if r.state == 'failed']) - 1}"
            )


def test_a_trial_may_end_without_the_metric_of_a_constraint() -> None:
    ended = Ended(Unit(0, {}), PARENT, "finished", {"loss": 0.5, "mb": 4.0})
    verdict = judging.judge(SPEC, [ended])
    assert (verdict.state, verdict.results, verdict.missing) == ("finished", (0.5,), "seconds")
    assert judging.judge(searched(), [ended]).missing == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_sweep_in_which_no_trial_keeps_to_the_constraints_says_so(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    rows = [_row(0, "finished", 0.5), _row(1)]
    line = "No trial keeps to the constraints: mb<=5 and seconds<=3.\n"
    printed.outcome(Outcome(PARENT, "FINISHED", rows, [], "done"), SPEC, as_json=as_json)
    said = capsys.readouterr()
    assert line in (said.err if as_json else said.out)
    printed.outcome(Outcome(PARENT, "FINISHED", rows, rows[:1], "done"), SPEC, as_json=as_json)
    said = capsys.readouterr()
    assert line not in said.out + said.err
