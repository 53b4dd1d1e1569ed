"""What makes a trial of a sweep a good one: metrics of its run, and what they have to keep to.

val_accuracy:maximize       a metric, and which way is better
seconds_per_image<=0.02     a constraint: trials that break it are no candidates for the best
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest

Goal: TypeAlias = Literal["maximize", "minimize"]
GOALS: tuple[Goal, ...] = ("maximize", "minimize")
_SHORT: Mapping[str, Goal] = {
    "max": "maximize", "maximum": "maximize", "min": "minimize", "minimum": "minimize",
}  # fmt: skip
_CONSTRAINT = re.compile(r"(?P<metric>.+?)\s*(?P<relation><=|>=)\s*(?P<limit>\S+)")


@dataclass(frozen=True)
class Objective:
    """A metric, and which way is better."""

    metric: str
    goal: Goal

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.metric}:{self.goal}"

    def is_better(self, value: float, than: float) -> bool:
        """Whether it is, and not only equal."""
        return value > than if self.goal == "maximize" else value < than


@dataclass(frozen=True)
class Constraint:
    """A bound that a metric has to keep to."""

    metric: str
    relation: Literal["<=", ">="]
    limit: float

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.metric}{self.relation}{self.limit:.15g}"

    def excess(self, metrics: Mapping[str, float]) -> float:
        """By how much it is broken: 0 or less where it is kept, infinite without the metric."""
        value = metrics.get(self.metric, math.nan)
        if math.isnan(value):
            return math.inf
        return value - self.limit if self.relation == "<=" else self.limit - value


def objectives(said: Sequence[str], goal: Goal | None) -> tuple[Objective, ...]:
    """What `--metric` and `--goal` say. Raises `InvalidInput` for a metric that has no direction."""
    found: list[Objective] = []
    for text in said:
        metric, colon, direction = text.rpartition(":")
        if colon and direction in GOALS:
            name, way = metric, direction
        elif goal is not None:
            name, way = text, goal
        elif colon and (meant := _SHORT.get(direction)):
            raise InvalidInput(
                f"--metric {text}: there is no direction {direction}.", f"--metric {metric}:{meant}"
            )
        elif colon and re.fullmatch(r"[a-z]+", direction) and nearest(direction, GOALS, "").startswith("Did"):
            raise InvalidInput(
                f"--metric {text}: there is no direction {direction}.",
                nearest(direction, GOALS, "The directions are"),
            )
        else:
            raise InvalidInput(
                f"--metric {text} does not say which way is better.",
                f"Add --goal maximize or --goal minimize; of several metrics: --metric {text}:maximize",
            )
        if not name:
            raise InvalidInput(f"--metric {text} names no metric.", "Write it so: --metric val_accuracy")
        if any(objective.metric == name for objective in found):
            raise InvalidInput(f"The metric {name} is given twice.", "Keep one of the two.")
        found.append(Objective(name, "maximize" if way == "maximize" else "minimize"))
    return tuple(found)


def constraint(text: str) -> Constraint:
    """What one `--constraint` says. Raises `InvalidInput`."""
    found = _CONSTRAINT.fullmatch(text.strip())
    try:
        limit = float(found["limit"]) if found else math.nan
    except ValueError:
        limit = math.nan
    if not found or not math.isfinite(limit):
        raise InvalidInput(
            f"--constraint {text!r} is no bound of a metric.", 'Write it so: "seconds_per_image<=0.02"'
        )
    return Constraint(found["metric"].strip(), "<=" if found["relation"] == "<=" else ">=", limit)
