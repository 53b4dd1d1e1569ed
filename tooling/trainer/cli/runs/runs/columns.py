"""The columns of `trainer runs`: what can be one, and which are shown by default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer import printable
from trainer.cli import figures
from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.tracking import metrics, run_tags
from trainer.tracking.search import Entry

_FEW = 4


@dataclass(frozen=True)
class Column:
    """One figure or word of each run."""

    name: str
    value: Callable[[Entry], str | float | None]

    def text(self, entry: Entry) -> str:
        """For people."""
        value = self.value(entry)
        return figures.metric(value) if isinstance(value, float) else printable.line(value or "")


def chosen(entries: Sequence[Entry], names: Sequence[str]) -> list[Column]:
    """The columns of these names: metrics, parameters or tags that at least one of the runs has.

    `metrics.NAME`, `params.NAME` and `tags.NAME` say which is meant. Raises `InvalidInput`.
    """
    known_columns = available(entries)
    columns: list[Column] = []
    for name in names:
        kinds = ("metrics", "params", "tags")
        column = known_columns.get(name) or next(
            (known_columns[f"{k}.{name}"] for k in kinds if f"{k}.{name}" in known_columns), None
        )
        if column is None and entries:
            words = [key.partition(".")[2] for key in known_columns if not key.startswith("tags.")]
            raise InvalidInput(
                f"None of the runs shown has a metric, parameter or tag {name}.",
                nearest(name, words, "There are"),
            )
        columns.append(Column(name, column.value if column else lambda _: None))
    return columns


def available(entries: Sequence[Entry]) -> dict[str, Column]:
    """Everything that can be a column, by `metrics.NAME`, `params.NAME` and `tags.NAME`."""
    metric_names = {name for entry in entries for name in entry.run.metrics}
    parameters = {name for entry in entries for name in entry.run.parameters}
    tags = {name for entry in entries for name in entry.run.tags}
    return (
        {f"metrics.{name}": _metric(name) for name in sorted(metric_names)}
        | {f"params.{name}": _parameter(name) for name in sorted(parameters)}
        | {f"tags.{name}": _tag(name) for name in sorted(tags)}
    )


def informative(entries: Sequence[Entry], first: str | None = None) -> list[Column]:
    """A few metrics that most runs of a project share, those that it is judged by before others.

    A time is among them only where the runs have nothing else, or the project or `first` names it.
    """
    wanted = {entry.run.tags.get(run_tags.PRIMARY_METRIC) for entry in entries} | {first}
    logged = {name for entry in entries for name in entry.run.metrics if not name.startswith("system/")}
    candidates = {name for name in logged if not metrics.is_time(name) or name in wanted} or logged
    places: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for project in {entry.project for entry in entries}:
        own = Counter(
            name
            for entry in entries
            for name in entry.run.metrics
            if entry.project == project and name in candidates
        )
        shared = [name for name, count in own.items() if 2 * count > max(own.values())]
        newest = next(entry.run for entry in entries if entry.project == project)
        ranked = metrics.shown(shared, newest.tags.get(run_tags.PRIMARY_METRIC))
        for rank, name in enumerate(ranked):
            places[name] = min(rank, places.get(name, rank))
        counts += own
    # Each project's first metric before any project's second.
    in_order = sorted(metrics.shown(places), key=lambda name: (name != first, places[name], -counts[name]))
    return [_metric(name) for name in in_order[:_FEW]]


def _metric(name: str) -> Column:
    return Column(name, lambda entry: entry.run.metrics.get(name))


def _parameter(name: str) -> Column:
    return Column(name, lambda entry: entry.run.parameters.get(name))


def _tag(name: str) -> Column:
    return Column(name, lambda entry: entry.run.tags.get(name))
