"""What differs between runs: parameters, metrics, and what they were made from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.tracking import run_tags
from trainer.tracking.client import Run

# Words of a metric's name that say which way is better. A name with none of them says nothing, as n_train.
_LOWER = {"error", "latency", "loss", "mae", "mape", "mse", "nll", "perplexity", "rmse", "seconds", "time"}
_HIGHER = {"acc", "accuracy", "auc", "bleu", "dice", "f1", "iou", "kappa", "map", "mcc", "precision", "r2",
           "recall", "rouge", "score"}  # fmt: skip
_TIMES = {"busy", "duration", "latency", "ms", "seconds", "throughput", "time"}
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
        """Which runs have the best value, where the name says which way is better and they differ."""
        figures = [value for value in self.values if value is not None and not math.isnan(value)]
        better = direction(self.name)
        if not figures or better == 0 or not self.differs:
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


def compare(runs: Sequence[Run]) -> Comparison:
    """Put the runs side by side; the first is what the others are compared with. No system metrics."""
    names = {name for run in runs for name in run.metrics if not name.startswith("system/")}
    metrics = (MetricRow(name, tuple(run.metrics.get(name) for run in runs)) for name in names)
    origins = {
        title: _rows([{name: run.tags[tag] for name, tag in tags.items() if tag in run.tags} for run in runs])
        for title, tags in _TAGS.items()
    }
    origins["Data"] = _rows([run.inputs for run in runs])
    return Comparison(
        tuple(runs),
        _rows([run.parameters for run in runs]),
        tuple(sorted(metrics, key=lambda row: (not row.differs, row.name))),
        {title: origins[title] for title in ORIGINS},
    )


def direction(metric: str) -> int:
    """1 where a higher value is better, -1 where a lower one is, 0 where the name does not say."""
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    if "per" in words and "second" in words:
        return 1
    return -1 if words & _LOWER else 1 if words & _HIGHER else 0


def is_time(metric: str) -> bool:
    """Whether the name says that it is a time or a speed: `fit_seconds`, `images_per_second`."""
    words = re.split(r"[^a-z0-9]+", metric.lower())
    return bool(_TIMES & set(words)) or ("per" in words and bool({"second", "sec", "s"} & set(words)))


def _rows(values: Sequence[Mapping[str, str]]) -> tuple[Row, ...]:
    names = {name for pairs in values for name in pairs}
    rows = (Row(name, tuple(pairs.get(name) for pairs in values)) for name in names)
    return tuple(sorted(rows, key=lambda row: (not row.differs, row.name)))
