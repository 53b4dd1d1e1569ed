"""What a trial comes to, by how its runs ended."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.errors import InvalidInput, SweepFailed
from trainer.sweeps.parent import Row
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.units import Ended
from trainer.tracking.search.trials import State

_FIRST = 3
"""So many failed trials, and none that finished, end a sweep."""


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
    """The metric that it ended without: an objective's, or a constraint's."""


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
    unbounded = next((each.metric for each in spec.constraints if each.metric not in means), "")
    broken = tuple(each.excess(means) for each in spec.constraints)
    return Verdict("finished", results, broken, missing=unbounded)


def without_metric(metric: str, ended: Ended) -> InvalidInput:
    """The error for a sweep whose trials do not log its metric."""
    names = sorted(name for name in ended.metrics if not name.startswith("system/"))
    return InvalidInput(
        f"Trial {ended.unit.trial} ended without a metric {metric}.",
        f"It logged {', '.join(names)}." if names else f"It logged none: trainer logs {ended.run.id[:8]}",
    )


def without_result(rows: Sequence[Row], *, are_all: bool) -> SweepFailed | None:
    """The error for a sweep whose trials come to nothing: the first three of them, or all that there are."""
    failed = [row for row in rows if row.state == "failed"]
    others = len(rows) - len(failed)
    if not failed or any(row.results for row in rows):
        return None
    if not are_all and (others or len(failed) < _FIRST):
        return None
    if not are_all:
        what = f"The first {len(failed)} trials failed"
    elif others:
        what = f"No trial has a result, and {len(failed)} of {len(rows)} failed"
    else:
        what = f"All {len(failed)} trials failed" if len(failed) > 1 else "The only trial failed"
    last = failed[-1]
    return SweepFailed(f"{what}: {last.why}.", f"Look at one: trainer logs {last.run_ids[0][:8]}")
