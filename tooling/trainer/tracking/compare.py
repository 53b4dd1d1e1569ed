"""What differs between runs: parameters, metrics, and what they were made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.tracking import metrics, run_tags, search
from trainer.tracking.client import Run

ORIGINS = ("Image", "Code", "Data", "Where")
_TAGS: Mapping[str, Mapping[str, str]] = {
    "Image": {
        "image": run_tags.IMAGE,
        "image id": run_tags.IMAGE_ID,
        "requirements": run_tags.REQUIREMENTS_DIGEST,
    },
    "Code": {
        "code digest": run_tags.CODE_DIGEST,
        "commit": run_tags.GIT_COMMIT,
        "branch": run_tags.GIT_BRANCH,
        "uncommitted changes": run_tags.GIT_DIRTY,
        "source": run_tags.SOURCE_NAME,
        "warm start": run_tags.WARM_START,
    },
    "Where": {
        "backend": run_tags.BACKEND,
        "gpus": run_tags.GPUS,
        "memory": run_tags.MEMORY,
        "deterministic": run_tags.DETERMINISTIC,
        "trainer": run_tags.VERSION,
    },
}


@dataclass(frozen=True)
class Row:
    """One thing, and what each run says of it; None where it says nothing."""

    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether not all runs say the same."""
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class MetricRow:
    """The final values of one metric; None where a run has none."""

    name: str
    values: tuple[float | None, ...]
    is_comparable: bool = True
    """Whether the runs mean the same by it."""

    @property
    def differs(self) -> bool:
        """Whether not all runs have the same value; NaN is the same as NaN."""
        return len({str(value) for value in self.values}) > 1

    @property
    def differences(self) -> tuple[float | None, ...]:
        """To the first run's value; None where either is missing."""
        first = self.values[0]
        return tuple(None if first is None or value is None else value - first for value in self.values)

    @property
    def best(self) -> frozenset[int]:
        """Which runs have the best value, where several have one and the name says which way is better.

        No run is better than another one for a time, which depends on the machine, nor for what does not
        compare.
        """
        return self._top if self.is_comparable else frozenset()

    @property
    def has_hidden_best(self) -> bool:
        """Whether a run would have the best value if the runs meant the same by it."""
        return not self.is_comparable and bool(self._top)

    @property
    def _top(self) -> frozenset[int]:
        figures = [value for value in self.values if value is not None and not math.isnan(value)]
        better = metrics.direction(self.name)
        if len(figures) < 2 or better == 0 or metrics.is_time(self.name) or not self.differs:
            return frozenset()
        top = max(figures) if better > 0 else min(figures)
        return frozenset(index for index, value in enumerate(self.values) if value == top)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side. In each list what differs comes first."""

    runs: tuple[Run, ...]
    parameters: tuple[Row, ...]
    metrics: tuple[MetricRow, ...]
    origins: Mapping[str, tuple[Row, ...]]
    """Image, code, data and where they ran, by these words."""
    remarks: tuple[str, ...] = ()
    """Sentences: why metrics that have a best value do not say so; that data differ where one is starred."""


def compare(runs: Sequence[Run]) -> Comparison:
    """Put the runs side by side; the first is what the others are compared with. No system metrics.

    Of the metrics that differ, the one that the runs' project calls its primary metric comes first.
    """
    names = {name for run in runs for name in run.metrics if not name.startswith("system/")}
    parameters = _rows([run.parameters for run in runs])
    incomparable = _Incomparable.of(runs, parameters)
    rows = [
        MetricRow(name, tuple(run.metrics.get(name) for run in runs), not incomparable.has(name))
        for name in names
    ]
    origins = {
        title: _rows([{name: run.tags[tag] for name, tag in tags.items() if tag in run.tags} for run in runs])
        for title, tags in _TAGS.items()
    }
    origins["Data"] = _rows([run.inputs for run in runs])
    remarks = [incomparable.reason] if any(row.has_hidden_best for row in rows) else []
    if any(row.best for row in rows) and _have_different_data(runs):
        remarks.append("The runs have different data, so their metrics need not compare.")
    primary = next(filter(None, (run.tags.get(run_tags.PRIMARY_METRIC) for run in runs)), None)
    return Comparison(
        tuple(runs),
        parameters,
        tuple(sorted(rows, key=lambda row: (not row.differs, row.name != primary, metrics.rank(row.name)))),
        {title: origins[title] for title in ORIGINS},
        tuple(remarks),
    )


def _have_different_data(runs: Sequence[Run]) -> bool:
    """By digest: on another machine the same data may have another name. Who says none may have the same."""
    return len({frozenset(run.inputs.values()) for run in runs if run.inputs}) > 1


@dataclass(frozen=True)
class _Incomparable:
    """Which metrics do not compare, for what is known of the runs."""

    target: bool
    loss: bool
    project: bool

    @classmethod
    def of(cls, runs: Sequence[Run], parameters: Sequence[Row]) -> _Incomparable:
        differing = {row.name for row in parameters if row.differs}
        projects = {search.project(run, {run.experiment_id: run.experiment_id}) for run in runs}
        return cls("target" in differing, "loss" in differing, len(projects) > 1)

    def has(self, metric: str) -> bool:
        is_other_loss = self.loss and "loss" in metric.lower()
        return self.target or is_other_loss or (self.project and not metrics.is_held_out(metric))

    @property
    def reason(self) -> str:
        if self.target:
            return "No star: the runs learn different targets."
        parts = ["the losses, since the parameter loss differs"] if self.loss else []
        parts += ["what has no test_ or val_, since the projects differ"] if self.project else []
        return f"No star for {', nor for '.join(parts)}." if parts else ""


def _rows(values: Sequence[Mapping[str, str]]) -> tuple[Row, ...]:
    names = {name for pairs in values for name in pairs}
    rows = (Row(name, tuple(pairs.get(name) for pairs in values)) for name in names)
    return tuple(sorted(rows, key=lambda row: (not row.differs, row.name)))
