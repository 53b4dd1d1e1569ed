"""Whether one model is better than another on the same samples, or whether these are too few to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from trainer.models.scores import ScoreName, gain, score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.05
"""A difference that chance alone makes less often than this counts."""
_RESAMPLES = 999
_CONFIDENCE = 0.95
# For a power of 80 % at that level, of a normal distribution.
_Z = 1.96 + 0.84


class Verdict(Enum):
    """What the samples say of the challenger."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no better"
    TOO_FEW = "too few samples to tell"


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Champion and challenger on the same samples. `difference` is how much better the challenger is.

    `p` is how often chance alone makes a difference that large. `needed` is how many samples would tell, if
    the difference stays what it is; None where it is none. `below` has the recall of the classes in which the
    challenger stays below their floor.
    """

    metric: ScoreName
    samples: int
    champion: Interval
    challenger: Interval
    difference: Interval
    p: float
    verdict: Verdict
    needed: int | None
    below: Mapping[str, float]


def compare(
    name: ScoreName,
    truth: NDArray[np.generic],
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    *,
    classes: Sequence[str] = (),
    floors: Mapping[str, float] | None = None,
    margin: float = 0.005,
) -> Comparison:
    """Compare two models' answers to the same samples: (n, classes) probabilities, or (n,) quantities.

    The test is exact: of the samples that one model alone gets right, each is as likely the one's as the
    other's (McNemar); for other scores than the accuracy, the answers of the two to a sample are as likely
    the other way round (a permutation test of 999 random ones, always the same). A difference whose
    interval lies within `margin` is none. `floors` are the least recall of classes.
    """
    low, high, p, variance = (
        _paired_accuracy(truth, champion, challenger)
        if name == "accuracy"
        else _paired(name, truth, champion, challenger)
    )
    before, after = (_interval(name, truth, answers) for answers in (champion, challenger))
    difference = Interval(gain(name, before.value, after.value), low, high)
    needed = round(_Z**2 * variance / difference.value**2) if difference.value else None
    below = _below(truth, challenger, classes, floors or {})
    return Comparison(
        name, len(truth), before, after, difference, p, _verdict(difference, p, margin), needed, below
    )


def _verdict(difference: Interval, p: float, margin: float) -> Verdict:
    if p < LEVEL and difference.value:
        return Verdict.BETTER if difference.value > 0 else Verdict.WORSE
    if max(-difference.low, difference.high) <= margin:
        return Verdict.SAME
    return Verdict.TOO_FEW


def _interval(name: ScoreName, truth: NDArray[np.generic], answers: NDArray[np.float64]) -> Interval:
    from scipy.stats import binomtest

    value = score(name, truth, answers)
    if name == "accuracy":
        limits = binomtest(round(value * len(truth)), len(truth)).proportion_ci(_CONFIDENCE, "wilson")
        return Interval(value, float(limits.low), float(limits.high))
    low, high, _ = _bootstrapped(len(truth), lambda rows: score(name, truth[rows], answers[rows]))
    return Interval(value, low, high)


def _paired_accuracy(
    truth: NDArray[np.generic], champion: NDArray[np.float64], challenger: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """The limits of the difference, p, and the variance of one sample's difference."""
    from scipy.stats import binomtest

    first, second = (answers.argmax(axis=1) == truth for answers in (champion, challenger))
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    total, discordant = len(truth), gained + lost
    if not discordant:
        return -3 / total, 3 / total, 1.0, 0.0  # the rule of three: what else could be, though none was seen
    test = binomtest(gained, discordant)
    share = test.proportion_ci(_CONFIDENCE)
    low, high = ((2 * limit - 1) * discordant / total for limit in (share.low, share.high))
    return low, high, float(test.pvalue), discordant / total


def _paired(
    name: ScoreName,
    truth: NDArray[np.generic],
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
) -> tuple[float, float, float, float]:
    """As `_paired_accuracy`, for any score."""
    import numpy as np
    from scipy.stats import permutation_test

    both, samples = np.concatenate([champion, challenger]), len(truth)

    def difference(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
        of = first % samples  # the rows of both, which a bootstrap draws
        return gain(name, score(name, truth[of], both[first]), score(name, truth[of], both[second]))

    rows = np.arange(samples)
    test = permutation_test(
        (rows, rows + samples), difference, permutation_type="samples", vectorized=False,
        n_resamples=_RESAMPLES, rng=np.random.default_rng(0),
    )  # fmt: skip
    low, high, error = _bootstrapped(samples, lambda drawn: difference(drawn, drawn + samples))
    return low, high, float(test.pvalue), error**2 * samples


def _bootstrapped(samples: int, of: Callable[[NDArray[np.int64]], float]) -> tuple[float, float, float]:
    """The limits of a statistic of rows that are drawn again and again, and its standard error."""
    import numpy as np
    from scipy.stats import bootstrap

    drawn = bootstrap(
        (np.arange(samples),), of, vectorized=False, method="percentile", n_resamples=_RESAMPLES,
        confidence_level=_CONFIDENCE, rng=np.random.default_rng(0),
    )  # fmt: skip
    limits = drawn.confidence_interval
    return float(limits.low), float(limits.high), float(drawn.standard_error)


def _below(
    truth: NDArray[np.generic],
    answers: NDArray[np.float64],
    classes: Sequence[str],
    floors: Mapping[str, float],
) -> dict[str, float]:
    predicted = answers.argmax(axis=1) if floors else truth
    recalls = {
        classes[number]: float((predicted[truth == number] == number).mean())
        for number in range(len(classes))
        if classes[number] in floors and (truth == number).any()
    }
    return {name: recall for name, recall in recalls.items() if recall < floors[name]}
