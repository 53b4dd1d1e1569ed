import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics
from trainer.errors import InvalidInput
from trainer.models import scores, verdict
from trainer.models.verdict import Comparison, Verdict


def _shares(
    right: NDArray[np.bool_], truth: NDArray[np.int64], confidence: float = 0.9
) -> NDArray[np.float64]:
    """Probabilities of two classes whose larger one is the truth where `right` says so."""
    answered = np.where(right, truth, 1 - truth)
    shares = np.full((len(truth), 2), 1 - confidence)
    shares[np.arange(len(truth)), answered] = confidence
    return shares


def _of(samples: int, lost: int, gained: int, wrong: int = 0) -> Comparison:
    """So many samples that the challenger alone gets wrong, or right, or both get wrong."""
    truth = np.arange(samples) % 2
    place = np.arange(samples)
    champion = (place >= lost + gained + wrong) | (place < lost)
    challenger = (place >= lost + gained + wrong) | ((lost <= place) & (place < lost + gained))
    return verdict.compare("accuracy", truth, _shares(champion, truth), _shares(challenger, truth))


def test_a_clear_gain_is_better_and_a_clear_loss_is_worse() -> None:
    better, worse = _of(200, 2, 20), _of(200, 20, 2)
    assert (better.verdict, worse.verdict) == (Verdict.BETTER, Verdict.WORSE)
    # The exact test of 2 of 22 discordant ones: 2 · (1 + 22 + 231) / 2^22.
    assert better.p == pytest.approx(2 * 254 / 2**22)
    assert better.difference.value == pytest.approx(0.09)
    assert better.difference.low > 0 > worse.difference.high
    assert better.champion.value == 0.9
    assert better.challenger.value == pytest.approx(0.99)
    assert better.champion.low < 0.9 < better.champion.high


def test_a_gain_that_chance_makes_is_too_few_samples_and_says_how_many_would_do() -> None:
    few = _of(40, 1, 4)
    assert few.verdict is Verdict.TOO_FEW
    assert few.p == pytest.approx(0.375)
    assert few.needed == round(2.8**2 * (5 / 40) / (3 / 40) ** 2)
    assert few.difference.low < 0 < few.difference.high


def test_no_difference_among_few_is_not_known_and_among_many_is_none() -> None:
    assert (_of(40, 0, 0, 3).verdict, _of(40, 0, 0).needed) == (Verdict.TOO_FEW, None)
    assert _of(4000, 0, 0, 3).verdict is Verdict.SAME
    assert _of(10_000, 9, 10).verdict is Verdict.SAME


def test_alike_models_are_seldom_told_apart() -> None:
    random = np.random.default_rng(7)
    told = 0
    for _ in range(400):
        truth = random.integers(0, 2, 60)
        first, second = (_shares(random.random(60) < 0.8, truth) for _ in range(2))
        told += verdict.compare("accuracy", truth, first, second).verdict in (Verdict.BETTER, Verdict.WORSE)
    assert told / 400 <= verdict.LEVEL + 0.02


@pytest.mark.parametrize("name", ["log_loss", "f1", "balanced_accuracy", "roc_auc"])
def test_other_scores_are_compared_by_permutation(name: scores.ScoreName) -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 120)
    bad = _shares(random.random(120) < 0.6, truth, 0.8)
    good = _shares(random.random(120) < 0.9, truth, 0.8)
    assert verdict.compare(name, truth, bad, good).verdict is Verdict.BETTER
    assert verdict.compare(name, truth, good, bad).verdict is Verdict.WORSE
    assert verdict.compare(name, truth, good, good).verdict is not Verdict.BETTER


def test_quantities_are_compared_too() -> None:
    random = np.random.default_rng(2)
    truth = random.normal(size=80)
    near, far = truth + random.normal(scale=0.1, size=80), truth + random.normal(scale=0.5, size=80)
    found = verdict.compare("rmse", truth, far, near)
    assert found.verdict is Verdict.BETTER
    assert found.difference.value == pytest.approx(found.champion.value - found.challenger.value)
    assert verdict.compare("r2", truth, near, far).verdict is Verdict.WORSE


def test_a_class_below_its_floor_is_named_with_its_recall() -> None:
    truth = np.arange(100) % 2
    right = np.arange(100) % 4 != 1  # half of the second class is wrong
    found = verdict.compare(
        "accuracy", truth, _shares(right, truth), _shares(right, truth),
        classes=("benign", "melanoma"), floors={"melanoma": 0.8, "benign": 0.8},
    )  # fmt: skip
    assert found.below == {"melanoma": 0.5}


def test_the_scores_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    for classes in (2, 4):
        truth = random.integers(0, classes, 60)
        answers = random.dirichlet(np.ones(classes), 60)
        guesses = answers.argmax(axis=1)
        shares = answers if classes > 2 else answers[:, 1]
        expected: dict[scores.ScoreName, float] = {
            "accuracy": metrics.accuracy_score(truth, guesses),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, guesses),
            "f1": metrics.f1_score(truth, guesses, average="macro"),
            "log_loss": metrics.log_loss(truth, answers),
            "roc_auc": metrics.roc_auc_score(truth, shares, multi_class="ovr"),
        }
        found = {name: scores.score(name, truth, answers) for name in expected}
        assert found == pytest.approx(expected)
    quantities, answers = random.normal(size=60), random.normal(size=60)
    assert scores.score("rmse", quantities, answers) == pytest.approx(
        metrics.root_mean_squared_error(quantities, answers)
    )
    assert scores.score("mae", quantities, answers) == pytest.approx(
        metrics.mean_absolute_error(quantities, answers)
    )
    assert scores.score("r2", quantities, answers) == pytest.approx(metrics.r2_score(quantities, answers))


def test_a_metric_of_a_run_is_the_score_of_its_name() -> None:
    for metric in ("val_accuracy", "validation_accuracy", "accuracy", "test_accuracy"):
        assert scores.named(metric, classes=True) == "accuracy"
    assert scores.named("test_rmse", classes=False) == "rmse"
    with pytest.raises(InvalidInput) as raised:
        scores.named("val_accurcy", classes=True)
    assert raised.value.hint == "Did you mean accuracy?"
    with pytest.raises(InvalidInput, match="that answer with a quantity are not compared by accuracy"):
        scores.named("accuracy", classes=False)
