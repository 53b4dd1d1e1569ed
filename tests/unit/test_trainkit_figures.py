import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from trainkit.figures import confusion_matrix, roc_curves

NAMES = ["cat", "dog", "owl"]
TRUTH = ["cat", "cat", "cat", "dog", "dog", "owl"]
PREDICTED = ["cat", "cat", "dog", "dog", "dog", "dog"]
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.5, 0.4]]
)


def legend(figure: Figure) -> list[str]:
    box = figure.axes[0].get_legend()
    assert box
    return [text.get_text() for text in box.get_texts()]


def test_confusion_matrix_shows_the_counts_row_by_row() -> None:
    axes = confusion_matrix(TRUTH, PREDICTED, NAMES).axes[0]
    assert [text.get_text() for text in axes.texts] == list("210020010")
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert axes.get_title() == "4 of 6 right (66.7%)"


def test_confusion_matrix_keeps_a_class_that_the_test_set_lacks() -> None:
    axes = confusion_matrix(["cat"], ["cat"], NAMES).axes[0]
    assert [text.get_text() for text in axes.texts] == list("100000000")


def test_roc_has_a_curve_a_class_and_their_average() -> None:
    lines = legend(roc_curves(TRUTH, PROBABILITIES, NAMES))
    assert lines[:3] == ["cat  1.0000", "dog  1.0000", "owl  1.0000"]
    assert lines[3:] == ["macro average  1.0000", "chance  0.5"]


def test_roc_of_two_classes_is_the_second_one_alone() -> None:
    truth = ["no", "no", "yes", "yes"]
    probabilities = [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]]
    assert legend(roc_curves(truth, probabilities, ["no", "yes"])) == ["yes  0.7500", "chance  0.5"]


@pytest.mark.parametrize("classes", [10, 14])
def test_each_curve_has_its_own_colour(classes: int) -> None:
    names = [f"class {i:02}" for i in range(classes)]
    figure = roc_curves(names, np.eye(classes), names)
    colours = {str(line.get_color()) for line in figure.axes[0].lines[:classes]}
    assert len(colours) == classes


def test_drawing_needs_no_pyplot_and_no_display() -> None:
    code = (
        "import io, sys; from trainkit.figures import confusion_matrix as draw;"
        "draw(['a', 'b'], ['a', 'a'], ['a', 'b']).savefig(io.BytesIO());"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    bare = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=bare).returncode == 0
