"""A sweep that goes on: its table in a terminal, and its lines elsewhere."""

import re
from dataclasses import replace

import pytest
from trainer.cli import figures
from trainer.cli.live.block import RedrawnBlock
from trainer.cli.sweep import shown
from trainer.sweeps.report import SweepView, TrialView
from trainer.sweeps.search.objectives import Objective

ACCURACY = Objective("val_accuracy", "maximize")
NOW = 1000.0
RUNNING = TrialView(
    3, {"learning_rate": "0.000123456789", "depth": "4"}, "running", (0.625,), (0.5, 0.6, 0.625), ("aa" * 8,),
    started=NOW - 12,
)  # fmt: skip
BEST = TrialView(
    1, {"learning_rate": "0.01", "depth": "2"}, "finished", (0.9375,), (0.5, 0.9, 0.9375), took_s=31.0
)
PRUNED = TrialView(0, {"learning_rate": "0.1", "depth": "8"}, "pruned", (), (0.5, 0.4), took_s=8.25)
FAILED = TrialView(2, {"learning_rate": "1", "depth": "8"}, "failed", took_s=2.0, why="exit code 3")
VIEW = SweepView(
    (ACCURACY,), ("learning_rate", "depth"), [PRUNED, BEST, FAILED, RUNNING], (1,), 20, 250.0, "brave-hen"
)


def table(view: SweepView, columns: int, rows: int = 16) -> list[str]:
    return [re.sub(r"\x1b\[[\d;]*m", "", line) for line in shown.lines(view, columns, rows, NOW)]


def test_what_goes_on_comes_first_then_the_best_then_what_ended_last() -> None:
    assert table(VIEW, 100) == [
        "3 of 20 trials done, about 4 min left  1 running, 1 finished, 1 pruned, 1 failed",
        "best  trial 1  val_accuracy 0.9375  learning_rate=0.01 depth=2",
        "TRIAL  STATE       val_accuracy        TOOK  learning_ra…  depth",
        "    3  running            0.625  ▁▇█   12 s     0.0001235      4",
        "    1  finished ★        0.9375  ▁▇█   31 s          0.01      2",
        "    2  failed                         2.0 s             1      8",
        "    0  pruned                    █▁   8.2 s           0.1      8",
    ]


@pytest.mark.parametrize("columns", [40, 60, 79, 200])
def test_no_line_is_wider_than_the_terminal_or_wrapped(columns: int) -> None:
    many = {f"parameter_{number}": "0.123456" for number in range(9)}
    curve = tuple(float(step % 7) for step in range(100))
    wide = replace(RUNNING, values=many, history=curve)
    view = replace(VIEW, searched=tuple(many), trials=[replace(BEST, values=many), wide])
    lines = table(view, columns)
    assert len(lines) == 5
    assert max(map(len, lines)) <= columns
    if columns >= 60:  # the part that tells most is whole
        assert lines[3].split()[:3] == ["3", "running", "0.625"]
        assert "12 s" in lines[3]


def test_there_are_no_more_lines_than_there_is_room_for() -> None:
    trials = [replace(FAILED, number=number) for number in range(50)]
    view = replace(VIEW, trials=[*trials, replace(BEST, number=60), replace(RUNNING, number=61)], best=(60,))
    lines = table(view, 80, 6)
    assert [line.split()[0] for line in lines[3:]] == ["61", "60", "49"]


def test_before_the_first_trial_there_is_no_table() -> None:
    assert table(replace(VIEW, trials=[], best=(), eta_s=None), 80) == [
        "0 of 20 trials done", "no best trial yet",
    ]  # fmt: skip


def test_names_and_values_are_no_markup_and_cannot_steer_the_terminal() -> None:
    evil = {"[bold]": "[/]\x1b[2J"}
    view = replace(VIEW, objectives=(Objective("[red]\x1b[2J", "minimize"),), searched=("[bold]",),
                   trials=[replace(BEST, values=evil)])  # fmt: skip
    text = "\n".join(shown.lines(view, 100, 9, NOW))
    assert "\x1b[2J" not in text
    assert table(view, 100)[2].split()[2:] == ["[red]\\x1b[2J", "TOOK", "[bold]"]
    assert table(view, 100)[3].endswith("[/]\\x1b[2J")


def test_a_front_is_named_by_its_trials() -> None:
    both = replace(VIEW, objectives=(ACCURACY, Objective("mb", "minimize")), best=(1, 2), trials=[
        replace(BEST, results=(0.9, 5.0)), replace(BEST, number=2, results=(0.8, 1.0))])  # fmt: skip
    assert table(both, 80)[1] == "best  trials 1, 2: none beats another in all metrics"


def test_elsewhere_a_line_says_what_has_begun_and_ended() -> None:
    at_first = replace(VIEW, trials=[replace(PRUNED, state="running", run_ids=("bb",)), FAILED], best=())
    assert shown.changes(None, at_first) == ["Trial 0 started: learning_rate=0.1 depth=8 (bb)"]
    later = replace(VIEW, trials=[PRUNED, BEST, FAILED, RUNNING])
    assert shown.changes(at_first, later) == [
        "Trial 0 pruned after 8.2 s (3 of 20 done)",
        "Trial 1 finished after 31 s: val_accuracy 0.9375, the best so far (3 of 20 done)",
        "Trial 3 started: learning_rate=0.0001235 depth=4 (aaaaaaaa)",
    ]
    assert shown.changes(later, later) == []
    ended = replace(later, trials=[PRUNED, BEST, FAILED, replace(FAILED, number=3)])
    assert shown.changes(later, ended) == ["Trial 3 failed after 2.0 s: exit code 3 (4 of 20 done)"]


@pytest.mark.parametrize(
    ("text", "short"),
    [("0.000123456789", "0.0001235"), ("adam", "adam"), ("12345678901", "1.235e+10"), ("0.5", "0.5")],
)
def test_values_are_short_enough_to_be_taken_in(text: str, short: str) -> None:
    assert figures.rounded(text) == short


def test_a_block_is_drawn_in_its_own_place_and_output_above_it() -> None:
    lines, width = ["one", "two"], 10
    block = RedrawnBlock(lambda _: lines, lambda: width)
    assert block.draw() == b"one\x1b[K\r\ntwo\x1b[K"
    assert block.draw() == b""
    lines = ["one", "2", "three"]
    assert block.draw() == b"\r\x1b[1Aone\x1b[K\r\n2\x1b[K\r\nthree\x1b[K\x1b[J"
    assert block.with_output(b"said\n") == b"\r\x1b[2A\x1b[Jsaid\n"
    assert block.draw() == b"one\x1b[K\r\n2\x1b[K\r\nthree\x1b[K"
    width = 4  # the last line takes two rows now
    lines = []
    assert block.draw() == b"\r\x1b[3A\x1b[J"
    assert block.with_output(b"x\n") == b"x\n"
