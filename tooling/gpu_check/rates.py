"""Samples a second of several ways to train the same model, taken in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpu_check.record import Finding, no_card
from gpu_check.sampling import Use
from gpu_check.setting import Setting

DEFAULT = "default precision"
"""What a run has: PyTorch takes convolutions as TF32 and matrix products as float32; so does JAX, or not."""
_OURS, _PLAIN = "trainkit, ", "plain loop, "
ON_DEVICE = ", batch on the device already"
"""Ways of these beginnings and this end are compared with each other, precision by precision."""
OURS, FED = _OURS + DEFAULT, _PLAIN + DEFAULT
HELD = FED + ON_DEVICE
_TO_TRY, _TO_MEASURE = 0.6, 0.85  # of the time that is left at the beginning


@dataclass(frozen=True)
class Variant:
    """`epoch` returns its samples a second. `precision` is that of the matrix product it is compared with."""

    epoch: Callable[[], float]
    precision: str


@dataclass(frozen=True)
class Work:
    """What one sample costs in a training step: `operations`, and how they were `counted`.

    `peak` tells the operations a second that the device reaches in a precision, and `memory` the MB that the
    framework allocates at most while an epoch is trained, where it can say so.
    """

    operations: float
    counted: str
    peak: Callable[[str, Setting], float]
    memory: Callable[[Callable[[], float]], float] | None = None


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
        elif error := _tried(variant, []):
            yield Finding(name, outcome="failed", by=by, said=error)
        else:
            able[name] = variant
    rounds, errors = _rounds(able, budget, 1 if setting.small else 5)
    for name, figures in rounds.items():
        if figures:
            yield Finding(
                name, statistics.median(figures), "samples/s", by=by,
                said=_spread(figures), rounds=tuple(figures),
            )  # fmt: skip
    for name, error in errors.items():
        yield Finding(f"{name}: round {len(rounds[name]) + 1}", outcome="failed", by=by, said=error)
    rates = {name: statistics.median(figures) for name, figures in rounds.items() if figures}
    yield from _ratios(rates, by, min(map(len, rounds.values()), default=0))
    gflop = work.operations / 1e9
    yield Finding("FLOPs of a training step for one sample", gflop, "GFLOP", by=by, said=work.counted)
    if not setting.card:
        for label in ("share of the measured peak", "GPU utilization", "GPU memory"):
            yield no_card(label, by)
        return
    peaks = {name: work.peak(name, setting) for name in {able[name].precision for name in rates}}
    for name, rate in rates.items():
        precision = able[name].precision
        share = rate * work.operations / peaks[precision]
        yield Finding(f"{name}: share of the measured {precision} peak", 100 * share, "%", by=by)
    yield from _use({name: able[name] for name in rates if name not in errors}, work, by)


def _spread(figures: Sequence[float]) -> str:
    if len(figures) == 1:
        return "once"
    return f"{min(figures):.4g} … {max(figures):.4g}, median of {len(figures)}"


def _rounds(
    variants: Mapping[str, Variant], budget: _TimeBudget, most: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Figures of each way, A B A B …, at most so many as long as there is time, and what ended a way."""
    rates: dict[str, list[float]] = {name: [] for name in variants}
    errors: dict[str, str] = {}
    for number in range(most):
        if number and budget.is_spent(_TO_MEASURE):
            break
        for name, variant in variants.items():
            if name not in errors and (error := _tried(variant, rates[name])):
                errors[name] = error
    return rates, errors


def _ratios(rates: Mapping[str, float], by: str, rounds: int) -> Iterator[Finding]:
    """What follows from rates that were taken in turns; a single round says nothing."""
    shares: dict[str, tuple[float, str]] = {}
    for held in (name for name in rates if name.endswith(ON_DEVICE)):
        plain = held.removesuffix(ON_DEVICE)
        ours = plain.replace(_PLAIN, _OURS)
        if plain in rates:
            share = 1 - rates[plain] / rates[held]
            shares[f"{plain}: share of a step that waits for input"] = share, "and its copy to the device"
        if ours in rates:
            shares[f"{ours}: share of the rate of {held}"] = rates[ours] / rates[held], ""
    for ours in (name for name in rates if name.startswith(_OURS)):
        plain = ours.replace(_OURS, _PLAIN)
        if plain in rates:
            shares[f"{ours}: share of the rate of {plain}"] = rates[ours] / rates[plain], ""
    for label, (share, explanation) in shares.items():
        if rounds > 1:
            yield Finding(label, 100 * share, "%", by=by, said=explanation)
        else:
            yield Finding(label, outcome="not run", by=by, said="a single round says nothing of it")


def _use(variants: Mapping[str, Variant], work: Work, by: str) -> Iterator[Finding]:
    """What NVML and the framework say while each way trains, after all rates were taken."""
    highest: list[float] = []
    for name, variant in variants.items():
        label = f"{name}: GPU utilization"
        with Use() as use:
            errors = [error for _ in range(3) if (error := _tried(variant, []))]
        if error := next(iter(errors), use.error):
            yield Finding(label, outcome="not run", by=by, said=error)
            continue
        highest += use.memory
        if use.busy:
            shown = " ".join(f"{busy:.0f}" for busy in use.busy[:: max(1, len(use.busy) // 20)])
            explanation = f"share of time with any kernel running: {shown}"
            yield Finding(label, statistics.mean(use.busy), "%", by=by, said=explanation)
        if work.memory:
            explanation = "allocated in a step, beyond weights and optimizers"
            yield Finding(f"{name}: GPU memory", work.memory(variant.epoch), "MB", by=by, said=explanation)
    if highest:
        explanation = "all ways and processes together, as NVML says"
        yield Finding("GPU memory in use", max(highest), "MB", by=by, said=explanation)


def _tried(variant: Variant, rates: list[float]) -> str:
    """Why the epoch failed; nothing if it works, and its rate is one more of the list."""
    try:
        rates.append(variant.epoch())
    except Exception as error:  # noqa: BLE001 (whatever a framework raises)
        return f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return ""
