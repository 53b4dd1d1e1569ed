import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from trainkit.data.table import importance


def rows(count: int = 200) -> tuple[pd.DataFrame, NDArray[np.generic]]:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"noise": generator.normal(size=count), "signal": generator.normal(size=count)})
    return frame, (frame["signal"] > 0).to_numpy().astype(float)


def by_signal(features: pd.DataFrame) -> NDArray[np.generic]:
    answers: NDArray[np.generic] = (features["signal"] > 0).to_numpy().astype(float)
    return answers


def test_the_column_that_decides_is_the_most_important() -> None:
    found = importance.permutation_importance(by_signal, *rows(), classes=True)
    assert found is not None
    assert found["column"].tolist() == ["signal", "noise"]
    assert found["importance"].tolist() == pytest.approx([0.5, 0], abs=0.1)
    again = importance.permutation_importance(by_signal, *rows(), classes=True)
    pd.testing.assert_frame_equal(found, again)


def test_of_many_rows_a_thousand_are_asked() -> None:
    asked = []

    def predict(features: pd.DataFrame) -> NDArray[np.generic]:
        asked.append(len(features))
        return by_signal(features)

    importance.permutation_importance(predict, *rows(5000), classes=False)
    assert asked == [1000, 5000, 5000]


def test_it_is_left_out_with_a_word_where_it_would_take_minutes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importance, "_MOST_SECONDS", 0)
    importance.log_importance(by_signal, *rows(), classes=True)
    assert capsys.readouterr().out == "permutation importance left out: it would take more than a minute\n"


def test_the_figure_has_a_bar_for_each_column_up_to_twenty() -> None:
    found = pd.DataFrame({"column": [f"c{i}" for i in range(30)], "importance": 0.1, "std": 0.01})
    axes = importance.figure(found, "accuracy").axes[0]
    assert len(axes.patches) == 20
    assert axes.get_title() == "Permutation importance: the first 20 of 30 columns"
    assert axes.get_yticklabels()[-1].get_text() == "c0"
