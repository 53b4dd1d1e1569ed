"""Who is next, of data alone: nothing is started."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from trainer.queue import order
from trainer.queue.order import LONGEST_S, MOST_TIMES, Amounts, Waiting

NOW, LARGE = 1_000_000.0, Amounts(gpus=2)


def test_first_come_first_served_within_a_priority_and_higher_ones_first() -> None:
    entries = [
        Waiting("c", 0, 3.0),
        Waiting("late", 5, 9.0),
        Waiting("a", 0, 1.0),
        Waiting("low", -1, 0.0),
        Waiting("b", 0, 2.0),
    ]
    assert [entry.id for entry in order.in_order(entries)] == ["late", "a", "b", "c", "low"]


def test_the_first_is_offered_a_slot_then_those_behind_it_fill_the_gap() -> None:
    large, small = Waiting("large", 0, 1.0, Amounts(gpus=3)), Waiting("small", 0, 2.0, Amounts(gpus=2))
    smaller = Waiting("smaller", 0, 3.0, Amounts(gpus=1))
    entries = [smaller, large, small]
    assert order.next_to_try(entries, (), NOW) == large
    assert order.next_to_try(entries, ("large",), NOW) == small
    assert order.next_to_try(entries, ("large", "small"), NOW) == smaller
    assert order.next_to_try(entries, ("large", "small", "smaller"), NOW) is None
    assert order.next_to_try((), (), NOW) is None
    assert order.passed_by(entries, small) == [large]


def test_one_that_was_passed_over_often_or_long_enough_lets_nothing_pass() -> None:
    small = Waiting("small", 0, 2.0)
    often = Waiting("large", 0, 1.0, LARGE, passed_over=MOST_TIMES, passed_since=NOW - 1)
    long = Waiting("large", 0, 1.0, LARGE, passed_over=1, passed_since=NOW - LONGEST_S)
    hardly = Waiting("large", 0, 1.0, LARGE, passed_over=MOST_TIMES - 1, passed_since=NOW - LONGEST_S + 1)
    for large in (often, long):
        assert order.next_to_try([small, large], (), NOW) == large
        assert order.next_to_try([small, large], ("large",), NOW) is None
        assert order.blocker([small, large], small, NOW) == large
    assert order.next_to_try([small, hardly], ("large",), NOW) == small
    assert order.blocker([small, hardly], small, NOW) is None


def test_one_of_a_higher_priority_goes_first_even_before_an_overdue_one() -> None:
    overdue = Waiting("large", 0, 1.0, passed_over=MOST_TIMES, passed_since=NOW)
    urgent = Waiting("urgent", 1, 2.0)
    assert order.next_to_try([overdue, urgent], (), NOW) == urgent


def test_small_ones_never_starve_a_large_one() -> None:
    """Two GPUs, one of them always taken by somebody else's run until nothing is started any more."""
    large = Waiting("large", 0, 0.0, LARGE)
    started = []
    for number in range(100):
        waiting = [large, *(Waiting(f"small-{n}", 0, n + 1.0) for n in range(number, 100))]
        chosen = order.next_to_try(waiting, ("large",), NOW + number)
        if chosen is None:
            break
        started.append(chosen.id)
        assert order.passed_by(waiting, chosen) == [large]
        large = replace(
            large, passed_over=large.passed_over + 1, passed_since=large.passed_since or NOW + number
        )
    assert started == [f"small-{n}" for n in range(MOST_TIMES)]


def test_what_became_free_while_the_others_were_tried_is_for_the_first_of_them() -> None:
    first, second = Waiting("first", 0, 1.0, Amounts(cpus=2)), Waiting("second", 0, 2.0, Amounts(cpus=2))
    third = Waiting("third", 0, 3.0, Amounts(gpus=1, cpus=2, memory=1))
    assert order.next_to_try([first, second, third], ("first",), NOW) is None
    other = Waiting("other", 0, 4.0, Amounts(gpus=2, cpus=1))
    assert order.next_to_try([first, second, other], ("first",), NOW) == other


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        (Amounts(gpus=2), Amounts(gpus=1), True),
        (Amounts(gpus=1), Amounts(gpus=2), False),
        (Amounts(gpus=math.inf), Amounts(gpus=1, devices=frozenset("0")), True),
        (Amounts(gpus=2, devices=frozenset("01")), Amounts(gpus=1, devices=frozenset("0")), True),
        (Amounts(gpus=2, devices=frozenset("01")), Amounts(gpus=2), True),
        (Amounts(gpus=2), Amounts(gpus=1, devices=frozenset("0")), False),
        (Amounts(cpus=2), Amounts(cpus=2, memory=1), False),
        (Amounts(), Amounts(), True),
    ],
)
def test_who_needs_no_less(one: Amounts, other: Amounts, covers: bool) -> None:
    assert one.covers(other) == covers
