import numpy as np
import pytest
from matplotlib.figure import Figure
from trainkit import regression

TRUE, PREDICTED = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 6.0])


def test_scores_are_in_the_units_of_the_quantity() -> None:
    result = regression.scores(TRUE, PREDICTED)
    assert result == pytest.approx({"mae": 0.5, "rmse": 1.0, "r2": 1 - 4 / 5})


def test_results_are_logged_with_the_name_of_their_split(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, float] = {}
    figures: dict[str, Figure] = {}
    monkeypatch.setattr("mlflow.log_metrics", logged.update)
    monkeypatch.setattr("mlflow.log_figure", lambda figure, name: figures.update({name: figure}))
    result = regression.log_results(TRUE, PREDICTED, "price", split="validation")
    assert result == logged
    assert logged["validation_mae"] == 0.5
    assert figures["predicted_against_true.png"].axes[0].get_xlabel() == "true price"


def test_each_prediction_is_a_dot_inside_of_the_picture() -> None:
    axes = regression.predicted_against_true(TRUE, PREDICTED, "price").axes[0]
    assert np.asarray(axes.collections[0].get_offsets()).tolist() == [
        [1, 1],
        [2, 2],
        [3, 3],
        [4, 6],
    ]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_ylim()[0] < 1
    assert axes.get_ylim()[1] > 6


def test_curves_have_a_line_for_each_quantity_and_split_and_the_epoch_that_is_kept() -> None:
    history = [{"loss": 2.0, "val_loss": 3.0, "mae": 5.0, "val_mae": 6.0}] * 3
    panels = regression.curves(history, best=2).axes
    assert [axes.get_title() for axes in panels] == ["loss", "mean absolute error"]
    assert [np.asarray(line.get_ydata()).tolist() for line in panels[1].lines[:2]] == [[5.0] * 3, [6.0] * 3]
    legend = panels[1].get_legend()
    assert legend
    assert legend.get_texts()[-1].get_text() == "kept: epoch 2"
