import subprocess
import sys

import numpy as np
from trainkit.figures import Mistake, confusion_matrix, curves, worst_mistakes

NAMES = ["cat", "dog", "owl"]
TRUTH = ["cat", "cat", "cat", "dog", "dog", "owl"]
PREDICTED = ["cat", "cat", "dog", "dog", "dog", "dog"]


def test_confusion_matrix_shows_the_counts_row_by_row() -> None:
    axes = confusion_matrix(TRUTH, PREDICTED, NAMES).axes[0]
    assert [text.get_text() for text in axes.texts] == list("210020010")
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert axes.get_title() == "4 of 6 right (66.7%)"


def test_confusion_matrix_keeps_a_class_that_the_test_set_lacks() -> None:
    axes = confusion_matrix(["cat"], ["cat"], NAMES).axes[0]
    assert [text.get_text() for text in axes.texts] == list("100000000")


def test_drawing_needs_no_pyplot_and_no_display() -> None:
    code = (
        "import io, sys; from trainkit.figures import confusion_matrix as draw;"
        "draw(['a', 'b'], ['a', 'a'], ['a', 'b']).savefig(io.BytesIO());"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    bare = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=bare).returncode == 0


def test_long_names_are_shortened_in_the_middle() -> None:
    names = ["Actinic_Keratosis_and_other_Lesions", "Actinic_Keratosis_and_nothing_else"]
    axes = confusion_matrix(names, names, names).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Actinic_Kera…her_Lesions",
        "Actinic_Kera…othing_else",
    ]


def test_with_very_many_classes_the_matrix_is_shaded_only() -> None:
    names = [f"class {i}" for i in range(100)]
    figure = confusion_matrix(names, names, names)
    assert not figure.axes[0].texts
    assert max(figure.get_size_inches()) < 12


HISTORY = [{"loss": 1.0, "accuracy": 0.5, "val_loss": 1.2, "val_accuracy": 0.4}] * 4


def test_curves_show_training_and_validation_by_epoch() -> None:
    loss, accuracy = curves([*HISTORY[:2], {"loss": 0.5, "val_accuracy": 0.9}]).axes
    assert [np.asarray(line.get_xdata()).tolist() for line in loss.lines] == [[1, 2, 3], [1, 2]]
    assert [np.asarray(line.get_ydata()).tolist() for line in accuracy.lines] == [[0.5, 0.5], [0.4, 0.4, 0.9]]
    assert loss.get_ylabel() == "loss"


def test_curves_mark_the_phases_and_the_epoch_that_is_kept() -> None:
    axes = curves(HISTORY, {"head": 1, "fine-tuning": 3}, best=4).axes[1]
    assert [text.get_text() for text in axes.texts] == ["head", "fine-tuning"]
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines[2:]] == [[2.5, 2.5], [4, 4]]
    box = axes.get_legend()
    assert box
    assert [text.get_text() for text in box.get_texts()] == ["training", "validation", "kept: epoch 4"]


def test_mistakes_are_shown_with_both_classes_and_the_probability() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    figure = worst_mistakes([Mistake(picture, "cat", "dog", 0.93)] * 5, wrong=7, total=60)
    assert figure.get_suptitle() == "7 of 60 pictures classified wrongly; the 5 surest mistakes"
    assert [axes.get_title() for axes in figure.axes] == ["cat\n→ dog  93%"] * 5


def test_no_mistakes_are_reported_as_none() -> None:
    figure = worst_mistakes([], wrong=0, total=60)
    assert [text.get_text() for text in figure.texts] == ["0 of 60 pictures classified wrongly"]
