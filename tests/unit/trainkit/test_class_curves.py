import importlib

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from trainkit import figures
from trainkit.class_curves import calibration_curve, precision_recall_curves, roc_curves

NAMES = ["cat", "dog", "owl"]
TRUTH = ["cat", "cat", "cat", "dog", "dog", "owl"]
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.5, 0.4]]
)
TWO = ["no", "no", "yes", "yes"]
OF_TWO = [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]]


def legend(figure: Figure) -> list[str]:
    [box] = figure.legends
    return [text.get_text() for text in box.get_texts()]


def random_answers(
    skill: float, rows: int = 300, classes: int = 3
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    generator = np.random.default_rng(0)
    labels = generator.integers(classes, size=rows)
    scores = generator.normal(size=(rows, classes))
    scores[np.arange(rows), labels] += skill
    shares = np.exp(scores)
    return np.array(NAMES)[labels], shares / shares.sum(axis=1, keepdims=True)


def test_roc_has_a_curve_a_class_and_their_average() -> None:
    lines = legend(roc_curves(TRUTH, PROBABILITIES, NAMES))
    assert lines[:3] == ["cat  1.000", "dog  1.000", "owl  1.000"]
    assert lines[3:] == ["macro average  1.000", "chance  0.5"]


def test_of_two_classes_the_second_has_a_curve() -> None:
    assert legend(roc_curves(TWO, OF_TWO, ["no", "yes"])) == ["yes  0.750", "chance  0.5"]
    assert legend(precision_recall_curves(TWO, OF_TWO, ["no", "yes"])) == ["yes  0.833", "chance  0.500"]


@pytest.mark.parametrize("classes", [10, 14])
def test_each_curve_has_its_own_colour(classes: int) -> None:
    names = [f"class {i:02}" for i in range(classes)]
    for figure in (
        roc_curves(names, np.eye(classes), names),
        precision_recall_curves(names, np.eye(classes), names),
    ):
        colours = {str(line.get_color()) for line in figure.axes[0].lines[:classes]}
        assert len(colours) == classes


def test_a_class_without_samples_has_no_curve() -> None:
    lines = legend(roc_curves(TRUTH[:5], PROBABILITIES[:5], NAMES))
    assert [line.split()[0] for line in lines] == ["cat", "dog", "macro", "chance"]
    assert legend(roc_curves(["cat"] * 3, PROBABILITIES[:3], NAMES)) == ["chance  0.5"]
    lines = legend(precision_recall_curves(TRUTH[:5], PROBABILITIES[:5], NAMES))
    assert [line.split()[0] for line in lines] == ["cat", "dog", "macro"]


@pytest.mark.parametrize(("skill", "panels"), [(0.3, 1), (1.5, 1), (3.0, 2), (30.0, 1)])
def test_the_corner_of_roc_is_enlarged_where_all_curves_are_in_it(skill: float, panels: int) -> None:
    figure = roc_curves(*random_answers(skill), NAMES)
    assert len(figure.axes) == panels
    assert figure.axes[0].get_xlim() == (-0.01, 1.01)
    assert figure.axes[0].get_ylim() == (-0.01, 1.01)


def test_of_more_than_twenty_classes_the_average_alone_is_named() -> None:
    names = [f"class {i:02}" for i in range(30)]
    assert legend(roc_curves(names, np.eye(30), names)) == ["macro average  1.000", "chance  0.5"]
    assert legend(precision_recall_curves(names, np.eye(30), names)) == ["macro average  1.000"]


def test_precision_holds_down_to_the_next_threshold() -> None:
    [line, _] = precision_recall_curves(TWO, OF_TWO, ["no", "yes"]).axes[0].lines
    recall, precision = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert ((np.diff(recall) == 0) | (np.diff(precision) == 0)).all()
    assert (recall[0], recall[-1], precision[-1]) == (1, 0, 1)


def test_calibration_says_how_far_probabilities_are_off() -> None:
    truth = ["yes"] * 60 + ["no"] * 40
    figure = calibration_curve(truth, [[0.1, 0.9]] * 100, ["no", "yes"])
    assert figure.axes[0].get_title() == "Calibration: 30.0% off on average"
    assert figure.axes[1].get_xlabel() == "probability of yes"


def test_calibration_of_more_classes_is_that_of_the_predicted_one() -> None:
    figure = calibration_curve(TRUTH, PROBABILITIES, NAMES)
    assert figure.axes[1].get_xlabel() == "probability of the predicted class"
    [_, line] = figure.axes[0].lines
    # Of six samples there is one dot: 4 of 6 are right, with a mean probability of 0.68.
    assert np.asarray(line.get_xydata()).ravel().tolist() == pytest.approx([0.6833, 4 / 6], abs=1e-3)


def test_roc_curves_have_their_former_name() -> None:
    with pytest.warns(DeprecationWarning, match="class_curves.roc_curves now"):
        assert importlib.reload(figures).roc_curves is roc_curves
