"""What `trainer compare` draws, and what fits a terminal."""

from __future__ import annotations

import re
import sys

import pytest
from trainer.cli.runs.comparison import charts, page, table
from trainer.tracking import compare
from trainer.tracking.artifacts.pictures import Picture, Pictures
from trainer.tracking.client import Run
from trainer.tracking.search import Point

RUNS = [Run("a" * 32, "7", "hen", "FINISHED", ""), Run("b" * 32, "7", "owl", "FINISHED", "")]
FIRST, SECOND = (run.id for run in RUNS)


def points(*values: float, start: int = 1) -> list[Point]:
    return [Point(step, value) for step, value in enumerate(values, start)]


def captions(drawn: str) -> list[str]:
    return [re.sub("<.*?>", "", found) for found in re.findall("<figcaption>(.*?)</figcaption>", drawn)]


def heights(drawn: str) -> list[float]:
    """How far down the points of all curves are."""
    return [
        float(pair.split(",")[1]) for line in re.findall('points="(.*?)"', drawn) for pair in line.split()
    ]


def test_training_and_validation_of_one_metric_are_in_one_chart() -> None:
    curves = {
        name: {run.id: points(1.0, 0.5) for run in RUNS} for name in ("val_loss", "loss", "learning_rate")
    }
    drawn = charts.draw(list(curves), curves, RUNS)
    assert captions(drawn) == ["loss solid: validation, dashed: training", "learning_rate"]
    assert drawn.count('dashed"') == 2


def test_a_single_value_is_no_curve_and_stretches_none() -> None:
    curves = {
        "validation_accuracy": {FIRST: points(0.9, start=0)},
        "val_accuracy": {FIRST: points(0.5, 0.7, start=100)},
        "f1": {FIRST: points(0.5)},
    }
    drawn = charts.draw(list(curves), curves, RUNS)
    assert captions(drawn) == ["accuracy validation"]
    assert ">100</text>" in drawn


def test_no_half_of_a_chart_is_empty() -> None:
    falling = {"loss": {FIRST: points(1e6, *[1.0 - n / 100 for n in range(99)])}}
    drawn = charts.draw(["loss"], falling, RUNS)
    assert captions(drawn) == ["loss 1 outside"]
    inside = [height for height in heights(drawn) if height >= 0]
    assert (len(inside), max(inside) - min(inside) > 100) == (99, True)
    level = charts.draw(["loss"], {"loss": {FIRST: points(0.5, 0.5)}}, RUNS)
    assert set(heights(level)) == {88.0}


@pytest.mark.parametrize("values", [(1e308, -1e308), (5e-324, 0.0), (float("nan"), 1.0), (1e16, 1e16 + 2)])
def test_numbers_at_the_edge_of_what_there_is_draw_something_or_nothing(values: tuple[float, ...]) -> None:
    drawn = charts.draw(["loss"], {"loss": {FIRST: points(*values)}}, RUNS)
    assert "nan" not in drawn
    assert "inf" not in drawn


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.17, 0.98, [0.2, 0.4, 0.6, 0.8]),
        (-3.0, 9.0, [-2.0, 0.0, 2.0, 4.0, 6.0, 8.0]),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


def test_pictures_are_in_the_page_beside_their_run_and_what_is_missing_is_named() -> None:
    shown = Pictures((Picture("m<b>.png", {SECOND: b"\x89PNG"}),), ("large.png of hen: it is too large.",))
    text = page.render(compare.compare(RUNS), {}, shown, {})
    assert text.count("<img ") == 1
    assert 'alt="m&lt;b&gt;.png of owl"' in text
    assert 'src="data:image/png;base64,iVBORw=="' in text
    assert "<li>large.png of hen: it is too large.</li>" in text


def five() -> compare.Comparison:
    return compare.compare(
        [
            Run(f"{number}" * 32, "7", f"thoughtful-lamb-58{number}", "FINISHED", "",
                {"validation_balanced_accuracy": number / 7, "seconds_fit": number * 1.0},
                parameters={"rate": f"0.{number}", "long": f"/a/long/path/of/number/{number}"})
            for number in range(1, 6)
        ]
    )  # fmt: skip


def test_five_runs_can_be_read_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    table.show(five(), everything=False)
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    assert ["3", "thoughtful-lamb-583", "33333333", "FINISHED"] in words
    assert ["validation_balanced_accuracy", "0.1429", "0.2857", "0.4286", "0.5714", "0.7143*"] in words
    # Paths are too long for five columns: the runs follow below each other, and none is cut.
    assert [line for line in words if line[:1] == ["Parameters"]] == [
        ["Parameters", "1", "2"],
        ["Parameters", "3", "4"],
        ["Parameters", "5"],
    ]


def test_a_wide_terminal_and_a_pipe_show_names_and_differences(capsys: pytest.CaptureFixture[str]) -> None:
    table.show(five(), everything=False)
    shown = capsys.readouterr().out
    assert "thoughtful-lamb-583" in shown.splitlines()[0]
    assert "(+0.571) *" in shown


def test_a_missing_star_is_explained_below_the_table_and_on_the_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [
        Run(name * 32, "7", name, "FINISHED", "", {"f1": value}, parameters={"target": name})
        for name, value in (("a", 0.5), ("b", 0.75))
    ]
    compared = compare.compare(runs)
    table.show(compared, everything=False)
    said = "No star: the runs learn different targets."
    shown = capsys.readouterr().out
    assert "*" not in shown
    assert said in shown
    assert said in page.render(compared, {}, Pictures((), ()), {})
