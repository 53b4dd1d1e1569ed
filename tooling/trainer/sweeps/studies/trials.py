"""The trials of a sweep, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from trainer.sweeps.search.domains import Choices
from trainer.sweeps.search.spec import SweepSpec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

RUNS = "trainer.runs"
"""The attribute of Optuna's trial that has the ids of its runs."""

State: TypeAlias = Literal["running", "complete", "failed", "pruned"]


@dataclass(frozen=True)
class Asked:
    """What is to be tried: the parameters that are searched, as a run is given them."""

    number: int
    values: Mapping[str, str]
    run_ids: tuple[str, ...] = ()
    """The runs that try it, once there are any."""


@dataclass(frozen=True)
class Trial:
    """What was tried, and what it came to."""

    number: int
    values: Mapping[str, str]
    state: State
    results: tuple[float, ...] | None = None
    """One number an objective, of a complete trial."""
    run_ids: tuple[str, ...] = ()
    constraints: tuple[float, ...] = ()
    """By how much each is broken: 0 or less where it is kept."""
    reports: Mapping[int, float] = field(default_factory=dict)
    """By the step."""

    @property
    def is_feasible(self) -> bool:
        """Whether it keeps to all constraints."""
        return all(excess <= 0 for excess in self.constraints)


def values(spec: SweepSpec, trial: FrozenTrial) -> dict[str, str]:
    """Its parameters as a run is given them."""
    found: dict[str, str] = {}
    for dimension in spec.dimensions:
        if dimension.name in trial.params:
            value = trial.params[dimension.name]
            domain = dimension.domain
            found[dimension.name] = value if isinstance(domain, Choices) else domain.written(value)
    return found


def _runs(trial: FrozenTrial) -> tuple[str, ...]:
    return tuple(trial.user_attrs.get(RUNS, ()))


def asked(spec: SweepSpec, trial: FrozenTrial) -> Asked:
    """Optuna's trial as a question."""
    return Asked(trial.number, values(spec, trial), _runs(trial))


def tried(spec: SweepSpec, trial: FrozenTrial) -> Trial:
    """Optuna's trial, which is not only enqueued."""
    from optuna.trial import TrialState

    states: Mapping[TrialState, State] = {
        TrialState.RUNNING: "running",
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
    }
    return Trial(
        trial.number,
        values(spec, trial),
        states[trial.state],
        tuple(trial.values) if trial.state == TrialState.COMPLETE else None,
        _runs(trial),
        tuple(trial.constraints.values()),
        dict(trial.intermediate_values),
    )
