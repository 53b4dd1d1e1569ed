"""A sweep as it is shown, while it goes on and afterwards: plain data, whoever fills it in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from trainer.sweeps.search.objectives import Objective

State: TypeAlias = Literal["running", "finished", "failed", "pruned", "stopped"]


@dataclass(frozen=True)
class TrialView:
    """One trial."""

    number: int
    values: Mapping[str, str]
    """The parameters that are searched."""
    state: State
    results: tuple[float, ...] = ()
    """One an objective; of a trial that goes on, the latest of the first, if there is one."""
    history: tuple[float, ...] = ()
    """The first objective's metric as it was logged."""
    run_ids: tuple[str, ...] = ()
    started: float | None = None
    """In seconds since 1970."""
    took_s: float | None = None
    """None while it goes on."""
    why: str = ""
    """It ended as it did, if there is something to be said."""
    is_feasible: bool = True
    """Whether it keeps to all constraints."""

    @property
    def run_id(self) -> str:
        """Of its first run; empty before there is one."""
        return self.run_ids[0] if self.run_ids else ""

    @property
    def remark(self) -> str:
        """What its state does not say of its end; empty where there is nothing to be said."""
        if self.state in ("failed", "stopped"):
            return self.why
        return "" if self.is_feasible else "breaks a constraint"

    def seconds(self, now: float) -> float | None:
        """How long it took, or goes on by now."""
        if self.took_s is not None or self.started is None:
            return self.took_s
        return max(now - self.started, 0.0)


@dataclass(frozen=True)
class SweepView:
    """All trials of a sweep, by their numbers."""

    objectives: tuple[Objective, ...]
    searched: tuple[str, ...]
    """The names of the parameters."""
    trials: Sequence[TrialView] = ()
    best: tuple[int, ...] = ()
    """Numbers of trials: one, or the Pareto front."""
    total: int | None = None
    """How many trials it is to have at most; None where nothing says so."""
    eta_s: float | None = None
    name: str = ""
    """Of the parent run."""
    run_id: str = ""
    _by_number: Mapping[int, TrialView] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Have the trials at hand."""
        object.__setattr__(self, "_by_number", {trial.number: trial for trial in self.trials})

    @property
    def done(self) -> int:
        """How many trials have ended."""
        return sum(trial.state != "running" for trial in self.trials)

    @property
    def best_trials(self) -> list[TrialView]:
        """The best ones."""
        return [self._by_number[number] for number in self.best if number in self._by_number]

    def trial(self, number: int) -> TrialView | None:
        """The one of that number."""
        return self._by_number.get(number)

    @property
    def ranked(self) -> list[TrialView]:
        """The best first, then by the first objective; those without a result last, as they were begun."""
        sign = -1 if self.objectives and self.objectives[0].goal == "maximize" else 1

        def rank(trial: TrialView) -> tuple[bool, bool, bool, float, int]:
            has = trial.state == "finished" and bool(trial.results)
            result = sign * trial.results[0] if has else 0.0
            return trial.number not in self.best, not has, not trial.is_feasible, result, trial.number

        return sorted(self.trials, key=rank)


def best_of(objectives: Sequence[Objective], trials: Iterable[TrialView]) -> tuple[int, ...]:
    """The best trial that keeps to the constraints; with several objectives, all that no other one beats."""
    able = [trial for trial in trials if trial.state == "finished" and trial.results and trial.is_feasible]
    if len(objectives) == 1 and able:
        first = able[0]
        for trial in able[1:]:
            if objectives[0].is_better(trial.results[0], first.results[0]):
                first = trial
        return (first.number,)
    return tuple(one.number for one in able if not any(_beats(objectives, other, one) for other in able))


def _beats(objectives: Sequence[Objective], one: TrialView, other: TrialView) -> bool:
    pairs = list(zip(objectives, one.results, other.results, strict=True))
    return any(each.is_better(mine, its) for each, mine, its in pairs) and not any(
        each.is_better(its, mine) for each, mine, its in pairs
    )


def time_left(view: SweepView, parallel: int, now: float) -> float | None:
    """Seconds until its last trial ends, if they go on taking what they took; None where nothing says so."""
    took = [trial.took_s for trial in view.trials if trial.took_s is not None and trial.state != "failed"]
    if view.total is None or not took:
        return None
    mean = sum(took) / len(took)
    begun = [max(mean - (trial.seconds(now) or 0), 0) for trial in view.trials if trial.state == "running"]
    to_come = max(view.total - len(view.trials), 0)
    return (sum(begun) + to_come * mean) / max(parallel, 1)
