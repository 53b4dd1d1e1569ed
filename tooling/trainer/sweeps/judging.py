"""What a trial comes to, by how its runs ended."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.errors import InvalidInput
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.units import Ended
from trainer.tracking.search.trials import State


@dataclass
class OpenTrial:
    """A trial that is not judged yet, and what came of its runs."""

    number: int
    values: Mapping[str, str]
    ended: dict[int, Ended] = field(default_factory=dict)
    run_ids: dict[int, str] = field(default_factory=dict)
    interruptions: int = 0


@dataclass(frozen=True)
class Verdict:
    """The results of a trial, one an objective: the means of its runs. Only a finished one has any."""

    state: State
    results: tuple[float, ...] = ()
    broken: tuple[float, ...] = ()
    """By how much each constraint is broken, as `Constraint.excess` counts."""
    why: str = ""
    missing: str = ""
    """The metric that it ended without."""


def judge(spec: SweepSpec, ended: Sequence[Ended]) -> Verdict:
    """Of all runs of a trial. It has finished where all of them have, with every metric that is asked for."""
    bad = next((each for each in ended if each.state != "finished"), None)
    if bad:
        return Verdict(bad.state, why=bad.why)
    shared = set.intersection(*(set(run.metrics) for run in ended))
    means = {name: statistics.fmean(run.metrics[name] for run in ended) for name in shared}
    wanted = [objective.metric for objective in spec.objectives]
    if missing := next((name for name in wanted if name not in means), None):
        return Verdict("failed", why=f"it logged no metric {missing}", missing=missing)
    results = tuple(means[name] for name in wanted)
    if unusable := next((name for name in wanted if not math.isfinite(means[name])), None):
        return Verdict("failed", why=f"its {unusable} is {means[unusable]}")
    return Verdict("finished", results, tuple(each.excess(means) for each in spec.constraints))


def without_metric(metric: str, ended: Ended) -> InvalidInput:
    """The error for a sweep whose trials do not log its metric."""
    names = sorted(name for name in ended.metrics if not name.startswith("system/"))
    return InvalidInput(
        f"Trial {ended.unit.trial} ended without a metric {metric}.",
        f"It logged {', '.join(names)}." if names else f"It logged none: trainer logs {ended.run.id[:8]}",
    )
