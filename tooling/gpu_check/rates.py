"""Samples a second of several ways to train the same model, taken in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.ratios import take_turns

from gpu_check.record import Finding, no_card
from gpu_check.sampling import Use
from gpu_check.sections import peak
from gpu_check.setting import Setting


@dataclass(frozen=True)
class Way:
    """`epoch` returns its samples a second. `precision` is that of the matrix product it is compared with."""

    epoch: Callable[[], float]
    precision: str


def compare(
    ways: Mapping[str, Way], operations: float, counted: str, setting: Setting, by: str
) -> Iterator[Finding]:
    """Each way's rate, its share of the measured peak, and of the card what NVML says meanwhile.

    A way that fails at its first try is a finding, and does not keep the others from theirs. `operations` are
    those of a training step for one sample; `counted` says how they were counted.
    """
    able: dict[str, Way] = {}
    for name, way in ways.items():
        problem = _tried(way)
        if problem:
            yield Finding(name, outcome="failed", by=by, said=problem)
        else:
            able[name] = way
    rounds = 2 if setting.small else 5
    taken = take_turns({name: way.epoch for name, way in able.items()}, rounds, warm=0)
    for name, figures in taken.items():
        yield Finding(
            name, statistics.median(figures), "samples/s", by=by,
            said=f"{min(figures):.4g} … {max(figures):.4g} in {len(figures)} rounds by turns",
        )  # fmt: skip
    yield Finding("operations of a training step", operations / 1e9, "GFLOP/sample", by=by, said=counted)
    if not setting.card:
        for what in ("share of the measured peak", "use of the card", "memory of the card"):
            yield no_card(what, by)
        return
    peaks = {
        name: peak.operations_a_second(name, setting) for name in {way.precision for way in able.values()}
    }
    for name, way in able.items():
        share = statistics.median(taken[name]) * operations / peaks[way.precision]
        yield Finding(f"{name}: share of the measured {way.precision} peak", 100 * share, "%", by=by)
        yield from _use(name, way, by)


def _use(name: str, way: Way, by: str) -> Iterator[Finding]:
    with Use() as use:
        for _ in range(3):
            way.epoch()
    if use.busy:
        shown = " ".join(f"{busy:.0f}" for busy in use.busy[:: max(1, len(use.busy) // 20)])
        yield Finding(f"{name}: use of the card", statistics.mean(use.busy), "%", by=by, said=shown)
        said = "of all processes, as NVML says"
        yield Finding(f"{name}: memory of the card", max(use.memory), "MB", by=by, said=said)


def _tried(way: Way) -> str:
    """What is wrong with it; nothing if it works, which also warms it."""
    try:
        way.epoch()
    except Exception as problem:  # noqa: BLE001 (whatever a framework raises)
        return f"{type(problem).__name__}: {problem}".splitlines()[0][:300]
    return ""
