"""Whether the metrics of a run that was made again agree with the first one's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.tracking.compare import MetricRow
from trainer.tracking.metrics import is_time

Verdict = Literal["equal", "within tolerance", "differs", "not compared"]


_ORDER: tuple[Verdict, ...] = ("differs", "within tolerance", "equal", "not compared")


@dataclass(frozen=True)
class Tolerance:
    """How much a metric may differ: absolutely, or relative to the first run's value (0.01 for 1 %)."""

    value: float = 0.0
    relative: bool = False

    def __str__(self) -> str:
        """As it is said on the command line."""
        return f"{self.value * 100:g}%" if self.relative else f"{self.value:g}"

    def takes(self, old: float, new: float) -> bool:
        """Whether the difference is small enough. NaN agrees with NaN, infinity with itself."""
        if old == new or (math.isnan(old) and math.isnan(new)):
            return True
        return abs(new - old) <= (self.value * abs(old) if self.relative else self.value)


@dataclass(frozen=True)
class Tolerances:
    """One for all metrics, and others for some of them."""

    general: Tolerance = Tolerance()
    by_metric: Mapping[str, Tolerance] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """A metric of both runs, and what it comes to."""

    row: MetricRow
    verdict: Verdict


def tolerances(texts: Iterable[str], metrics: Iterable[str]) -> Tolerances:
    """`0.01`, `1%`, `METRIC=0.01`, `METRIC=1%`.

    Raises `InvalidInput` for what is none, or names no metric.
    """
    general, by_metric, metric_names = Tolerance(), {}, set(metrics)
    for text in texts:
        name, _, value = text.rpartition("=")
        match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e-?\d+)?|\.\d+(?:e-?\d+)?)(%?)", value, re.IGNORECASE)
        if match is None:
            raise InvalidInput(
                f"--tolerance {text} is invalid.",
                "Specify how much a metric may differ: 0.01, 1% of its value, or accuracy=0.01.",
            )
        is_relative = bool(match[2])
        tolerance = Tolerance(float(match[1]) / (100 if is_relative else 1), is_relative)
        if not name:
            general = tolerance
        elif name in metric_names:
            by_metric[name] = tolerance
        else:
            raise InvalidInput(
                f"The run has no metric {name}.", nearest(name, sorted(metric_names), "It has")
            )
    return Tolerances(general, by_metric)


def judge(old: Mapping[str, float], new: Mapping[str, float], allowed: Tolerances) -> tuple[Compared, ...]:
    """Every final metric of both runs but those of the machine (`system/…`): what differs most comes first.

    Times and speeds are never the same twice: they are compared only where a tolerance of their own is given.
    """
    names = sorted(name for name in {**old, **new} if not name.startswith("system/"))
    rows = [MetricRow(name, (old.get(name), new.get(name))) for name in names]
    compared = (Compared(row, _verdict(row, allowed)) for row in rows)
    return tuple(sorted(compared, key=lambda metric: _ORDER.index(metric.verdict)))


def agree(compared: Iterable[Compared]) -> bool:
    """Whether no metric differs more than it may."""
    return all(metric.verdict != "differs" for metric in compared)


def is_nothing(compared: Iterable[Compared]) -> bool:
    """Whether there was no metric that two runs can agree in."""
    return all(metric.verdict == "not compared" for metric in compared)


def _verdict(row: MetricRow, allowed: Tolerances) -> Verdict:
    old, new = row.values
    if is_time(row.name) and row.name not in allowed.by_metric:
        return "not compared"
    if old is None or new is None:
        return "differs"
    if not row.differs:
        return "equal"
    tolerance = allowed.by_metric.get(row.name, allowed.general)
    return "within tolerance" if tolerance.takes(old, new) else "differs"
