"""What the benchmarks of sweeps and queues make of the times that scripts say."""

import json

from bench.sweeping.trials import Searched, Spent, Trial, gaps, ideal, of_output


def test_the_ideal_is_the_best_that_slots_can_do_in_the_order_in_which_the_trials_began() -> None:
    # 3 s and 1 s begin; 2 s follows the one of 1 s, and 4 s the first slot that is free then.
    trials = [Trial(0, 3), Trial(0.1, 1.1), Trial(5, 7), Trial(9, 13)]
    assert ideal(trials) == 7
    assert Searched(trials, Spent(seconds=14, cpu=1)).times_ideal == 2


def test_a_gap_is_from_an_end_to_the_beginning_that_followed_it_on_its_slot() -> None:
    trials = [Trial(0, 10), Trial(0, 4), Trial(4.5, 12), Trial(11, 20), Trial(12.25, 13)]
    assert gaps(trials, 2) == [0.5, 1, 0.25]
    assert gaps(trials[:2], 2) == []


def test_the_times_are_found_among_other_output() -> None:
    said = json.dumps({"trial": 3, "began": 1.5, "ended": 2.5})
    assert of_output(f"a line\n[x] {said}\n{{}}\n") == [Trial(1.5, 2.5)]
