"""Samples a second of several ways to train the same model, taken in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.ratios import take_turns

from gpu_check.record import Finding, no_card
from gpu_check.sampling import Use
from gpu_check.setting import Setting

OURS = "trainkit, float32"
FED, HELD = "plain loop, float32", "plain loop, float32, batch on the device already"
"""Ways that every comparison has: the first two take the same batches, the last one's is on the device."""
_TO_TRY, _TO_MEASURE = 0.6, 0.85  # of the time that is left at the beginning


@dataclass(frozen=True)
class Variant:
    """`epoch` returns its samples a second. `precision` is that of the matrix product it is compared with."""

    epoch: Callable[[], float]
    precision: str


@dataclass(frozen=True)
class Work:
    """What one sample costs in a training step: `operations`, and how they were `counted`.

    `peak` tells the operations a second that the device reaches in a precision.
    """

    operations: float
    counted: str
    peak: Callable[[str, Setting], float]


class _TimeBudget:
    """From now until the section is killed."""

    def __init__(self, setting: Setting) -> None:
        self._begun = time.monotonic()
        self._until = setting.until

    def is_spent(self, share: float) -> bool:
        """Whether this part of it is over."""
        return time.monotonic() - self._begun > share * (self._until - self._begun)


def compare(variants: Mapping[str, Variant], work: Work, setting: Setting, by: str) -> Iterator[Finding]:
    """Each way's rate, its share of the peak, and of the card what NVML says meanwhile.

    A way that fails at its first try is a finding, and does not keep the others from theirs. The first of the
    ways count most: for the last ones there may be no time.
    """
    budget = _TimeBudget(setting)
    able: dict[str, Variant] = {}
    for name, variant in variants.items():
        if budget.is_spent(_TO_TRY):
            yield Finding(name, outcome="not run", by=by, said="the time of the section was up")
        elif error := _tried(variant):
            yield Finding(name, outcome="failed", by=by, said=error)
        else:
            able[name] = variant
    taken = _rounds(able, budget, 1 if setting.small else 5)
    for name, figures in taken.items():
        yield Finding(
            name, statistics.median(figures), "samples/s", by=by,
            said=_spread(figures),
        )  # fmt: skip
    rates = {name: statistics.median(figures) for name, figures in taken.items()}
    yield from _ratios(rates, by, min(map(len, taken.values()), default=0))
    gflop = work.operations / 1e9
    yield Finding("FLOPs of a training step", gflop, "GFLOP/sample", by=by, said=work.counted)
    if not setting.card:
        for label in ("share of the measured peak", "GPU utilization", "GPU memory in use"):
            yield no_card(label, by)
        return
    peaks = {name: work.peak(name, setting) for name in {variant.precision for variant in able.values()}}
    for name, variant in able.items():
        share = rates[name] * work.operations / peaks[variant.precision]
        yield Finding(f"{name}: share of the measured {variant.precision} peak", 100 * share, "%", by=by)
    for name, variant in able.items():
        yield from _use(name, variant, by)


def _spread(figures: Sequence[float]) -> str:
    if len(figures) == 1:
        return "once"
    return f"{min(figures):.4g} … {max(figures):.4g}, median of {len(figures)}"


def _rounds(variants: Mapping[str, Variant], budget: _TimeBudget, most: int) -> dict[str, list[float]]:
    """At least one figure of each way, and at most so many, as long as there is time."""
    epochs = {name: variant.epoch for name, variant in variants.items()}
    taken = take_turns(epochs, 1, warm=0)
    for _ in range(most - 1):
        if not budget.is_spent(_TO_MEASURE):
            for name, figures in take_turns(epochs, 1, warm=0).items():
                taken[name] += figures
    return taken


def _ratios(rates: Mapping[str, float], by: str, rounds: int) -> Iterator[Finding]:
    """What follows from rates that were taken in turns; a single round says nothing."""
    if not {OURS, FED, HELD} <= rates.keys():
        return
    formula = f"1 - ({FED}) / ({HELD})"
    shares = {
        "share of a step that waits for input": (1 - rates[FED] / rates[HELD], formula),
        f"{OURS}: share of the rate of {FED}": (rates[OURS] / rates[FED], ""),
    }
    for label, (share, formula) in shares.items():
        if rounds > 1:
            yield Finding(label, 100 * share, "%", by=by, said=formula)
        else:
            yield Finding(label, outcome="not run", by=by, said="a single round says nothing of it")


def _use(name: str, variant: Variant, by: str) -> Iterator[Finding]:
    with Use() as use:
        for _ in range(3):
            variant.epoch()
    if use.busy:
        shown = " ".join(f"{busy:.0f}" for busy in use.busy[:: max(1, len(use.busy) // 20)])
        yield Finding(f"{name}: GPU utilization", statistics.mean(use.busy), "%", by=by, said=shown)
        source = "of all processes, as NVML says"
        yield Finding(f"{name}: GPU memory in use", max(use.memory), "MB", by=by, said=source)


def _tried(variant: Variant) -> str:
    """What is wrong with it; nothing if it works, which also warms it."""
    try:
        variant.epoch()
    except Exception as error:  # noqa: BLE001 (whatever a framework raises)
        return f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return ""
