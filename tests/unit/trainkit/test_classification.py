import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import mlflow
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from sklearn import metrics
from trainkit import classification, figures
from trainkit.data import image_folder
from trainkit.data.image_data import Part
from trainkit.errors import InputError

NAMES = ("cat", "dog", "owl")
# The third cat and the owl are taken for dogs.
TRUTH = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.0, 0.9, 0.1]]
)


@dataclass(frozen=True)
class Logged:
    """What the active run has so far."""

    folder: Path

    def metrics(self) -> dict[str, float]:
        return dict(mlflow.get_run(mlflow.active_run().info.run_id).data.metrics)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "mlruns"))
    with mlflow.start_run() as run:
        yield Logged(Path(run.info.artifact_uri.removeprefix("file://")))


def part(labels: NDArray[np.int64], names: tuple[str, ...] = NAMES) -> Part:
    """Picture i is filled with the value 10 · i."""
    pixels = (
        np.zeros((len(labels), 8, 8, 3), np.uint8)
        + 10 * np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    )
    images = tuple(
        image_folder.Image(PurePosixPath(names[label], f"{i}, a.png"), names[label])
        for i, label in enumerate(labels)
    )
    return Part(pixels, np.arange(len(labels)), labels, images)


def test_metrics_are_those_worked_out_by_hand(logged: Logged) -> None:
    result = classification.log_results(TRUTH, PROBABILITIES, NAMES, split="validation")
    assert result["validation_accuracy"] == pytest.approx(4 / 6)
    assert result["validation_balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert result["validation_f1"] == pytest.approx((0.8 + 2 / 3 + 0) / 3)
    right = [0.8, 0.7, 0.3, 0.7, 0.8, 0.1]
    assert result["validation_log_loss"] == pytest.approx(-np.log(right).mean())
    assert "validation_top3_accuracy" not in result
    assert logged.metrics() == pytest.approx(result)


@pytest.mark.parametrize("seed", range(5))
def test_means_over_the_classes_are_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    # Of the seven classes some have no samples and are predicted, some have none and are not.
    truth, shares = random.integers(0, 4, 12), random.dirichlet(np.ones(7), 12)
    result = classification.scores(truth, shares)
    predicted = shares.argmax(axis=1)
    assert set(predicted) - set(truth)
    assert result["f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = metrics.balanced_accuracy_score(truth, predicted)
    assert result["balanced_accuracy"] == pytest.approx(expected)


def test_with_many_classes_the_first_three_guesses_count_too(logged: Logged) -> None:
    shares = np.array([[0.5, 0.3, 0.1, 0.06, 0.04], [0.5, 0.3, 0.1, 0.06, 0.04]])
    result = classification.log_results([2, 4], shares, tuple("abcde"), split="test")
    assert result["test_top3_accuracy"] == 0.5
    assert logged.metrics()["test_top3_accuracy"] == 0.5


def test_the_report_has_every_class_as_json_and_as_a_table(logged: Logged) -> None:
    classification.log_results(TRUTH, PROBABILITIES, NAMES, split="validation")
    report = json.loads(logged.text("report_validation.json"))
    assert report["classes"]["cat"] == {
        "precision": 1,
        "recall": pytest.approx(2 / 3),
        "f1": 0.8,
        "support": 3,
    }
    assert report["samples"] == 6
    rows = list(csv.reader(io.StringIO(logged.text("report_validation.csv"))))
    assert rows[0] == ["class", "precision", "recall", "f1", "support"]
    assert rows[1] == ["cat", "1.0000", "0.6667", "0.8000", "3"]
    assert [row[0] for row in rows[1:]] == list(NAMES)


def test_every_prediction_is_listed_by_its_path(logged: Logged) -> None:
    classification.log_results(TRUTH, PROBABILITIES, NAMES, split="validation", part=part(TRUTH))
    rows = list(csv.DictReader(io.StringIO(logged.text("predictions_validation.csv"))))
    assert len(rows) == 6
    assert rows[5] == {"path": "owl/5, a.png", "true": "owl", "predicted": "dog", "probability": "0.9000"}


def test_the_figures_of_another_split_do_not_replace_those_of_validation(logged: Logged) -> None:
    for split in ("validation", "test"):
        classification.log_results(TRUTH, PROBABILITIES, NAMES, split=split, part=part(TRUTH))
    plain = {f"{name}.png" for name in ("confusion_matrix", "worst_mistakes")}
    plain |= {f"{name}_curve.png" for name in ("roc", "precision_recall", "calibration")}
    assert logged.names() >= plain | {name.replace(".png", "_test.png") for name in plain}


def test_the_worst_mistakes_are_the_surest_wrong_answers() -> None:
    assert classification.worst_mistakes(TRUTH, PROBABILITIES).tolist() == [5, 2]
    many = np.tile([[0.4, 0.6]], (30, 1))
    assert len(classification.worst_mistakes(np.zeros(30, np.int64), many)) == classification.MISTAKES_SHOWN


def test_the_picture_of_a_mistake_is_the_one_that_was_misjudged(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[figures.Mistake] = []
    draw = figures.worst_mistakes

    def watched(mistakes: Sequence[figures.Mistake], *, wrong: int, total: int) -> Figure:
        seen.extend(mistakes)
        return draw(mistakes, wrong=wrong, total=total)

    monkeypatch.setattr(figures, "worst_mistakes", watched)
    classification.log_results(TRUTH, PROBABILITIES, NAMES, split="validation", part=part(TRUTH))
    assert [(m.truth, m.predicted, m.picture[0, 0, 0]) for m in seen] == [
        ("owl", "dog", 50),
        ("cat", "dog", 20),
    ]
    assert [m.probability for m in seen] == pytest.approx([0.9, 0.6])
    with Image.open(logged.folder / "worst_mistakes.png") as picture:
        assert picture.width > 500


@pytest.mark.parametrize("truth", [[0, 0, 1], [2, 2, 2]])
def test_a_class_without_samples_breaks_nothing_and_is_reported(
    logged: Logged, capsys: pytest.CaptureFixture[str], truth: list[int]
) -> None:
    shares = PROBABILITIES[: len(truth)]
    result = classification.log_results(truth, shares, NAMES, split="validation", part=part(np.array(truth)))
    present = sorted(set(truth))
    have = "1 class has" if len(present) == 2 else "2 classes have"
    assert f"Warning: {have} no samples in validation" in capsys.readouterr().out
    right = shares.argmax(axis=1) == truth
    recalls = [right[np.array(truth) == label].mean() for label in present]
    assert result["validation_balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert logged.names() >= {"confusion_matrix.png", "roc_curve.png", "worst_mistakes.png"}


def test_no_mistake_at_all_is_a_figure_too(logged: Logged) -> None:
    classification.log_results(
        [0, 1], PROBABILITIES[[0, 3]], NAMES, split="validation", part=part(np.array([0, 1]))
    )
    assert "worst_mistakes.png" in logged.names()


def test_the_rounding_of_float32_is_no_complaint(logged: Logged, recwarn: pytest.WarningsRecorder) -> None:
    shares = (PROBABILITIES * (1 + 3e-6)).astype(np.float32)
    result = classification.log_results(TRUTH, shares, NAMES, split="validation")
    assert result["validation_log_loss"] == pytest.approx(logged.metrics()["validation_log_loss"])
    assert not [w for w in recwarn if "sum to one" in str(w.message)]


def test_answers_that_are_no_numbers_are_an_error(logged: Logged) -> None:
    with pytest.raises(InputError) as caught:
        classification.log_results(TRUTH, PROBABILITIES * np.nan, NAMES, split="validation")
    assert "diverged" in caught.value.message
    assert "learning rate" in caught.value.hint
    assert not logged.metrics()
