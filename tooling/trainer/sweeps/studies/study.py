"""What to try next, by what the trials before came to: the search, which is Optuna's.

A study is a journal in a file, and a cache: what became of the trials is known from their runs (`rebuilt`).
It is for one thread of one process at a time, the one that holds the sweep's lock.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import InvalidInput
from trainer.sweeps.search import space
from trainer.sweeps.search.domains import Choices
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.studies import samplers, trials
from trainer.sweeps.studies.trials import Asked, Trial

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

NAME = "sweep"
"""Of the one study in a journal."""


class Torn(Exception):
    """The journal of a study cannot be read: it is to be made again from the runs."""


@dataclass(frozen=True)
class Study:
    """The search of one sweep. Calls with a number are about the trial of that number."""

    spec: SweepSpec
    inner: optuna.Study
    storage: BaseStorage

    @classmethod
    def open(cls, file: Path, spec: SweepSpec) -> Study:
        """The study in the file, or a new one, with the tries of `spec` enqueued.

        Raises `InvalidInput` for what cannot be searched so (a sampler without its package), `Torn` where the
        file is no whole study.
        """
        from optuna.exceptions import OptunaError
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        samplers.check(spec)
        for values in spec.tries:
            in_space(spec, values)
        # Optuna's own lock of the file is stale: the caller holds the sweep's. It would be waited for, 30 s.
        for left in file.parent.glob(f"{file.name}.lock*"):
            left.unlink(missing_ok=True)
        _cut_off_half_line(file)
        try:
            study = cls.on(JournalStorage(JournalFileBackend(str(file))), spec)
            study._complete_questions()
            begun = len(study.inner.get_trials(deepcopy=False))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError, OptunaError) as error:
            raise Torn(f"{file}: {error!r}") from error
        for values in spec.tries[begun:]:
            study.enqueue(values)
        return study

    @classmethod
    def on(cls, storage: BaseStorage, spec: SweepSpec) -> Study:
        """The study in a storage of Optuna's, as it is there."""
        import optuna

        with samplers.quiet():
            inner = optuna.create_study(
                storage=storage,
                study_name=NAME,
                sampler=samplers.sampler(spec, 0),
                pruner=samplers.pruner(spec),
                directions=[objective.goal for objective in spec.objectives],
                load_if_exists=True,
            )
        return cls(spec, inner, storage)

    def ask(self) -> Asked:
        """What to try next: what was enqueued, then what the sampler says. Not for an exhausted grid."""
        if self.spec.sampler == "grid" and not self.waiting:
            self.enqueue(next(self._points_left))
        return trials.asked(self.spec, self.suggest(self.question()))

    def question(self, remember: bool = False) -> optuna.Trial:
        """The next trial, without values yet. `remember`: the sampler samples even what is enqueued."""
        from optuna.trial import TrialState

        waiting = self.inner.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        number = waiting[0].number if waiting else len(self.inner.get_trials(deepcopy=False))
        self.inner.sampler = samplers.sampler(self.spec, number)
        with samplers.quiet():
            trial = self.inner.ask()
            if remember:
                _ = trial.relative_params
        return trial

    def suggest(self, trial: optuna.Trial) -> FrozenTrial:
        """The trial with a value for each dimension that applies; those that it has remain."""
        values: dict[str, str] = {}
        with samplers.quiet():
            for dimension in self.spec.dimensions:
                if not dimension.applies(values):
                    continue
                name, domain = dimension.name, dimension.domain
                if isinstance(domain, Choices):
                    values[name] = trial.suggest_categorical(name, domain.values)
                elif domain.whole:
                    low, high, step = int(domain.low), int(domain.high), int(domain.step or 1)
                    values[name] = domain.written(
                        trial.suggest_int(name, low, high, step=step, log=domain.log)
                    )
                else:
                    values[name] = domain.written(
                        trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
                    )
        return self._frozen(trial.number)

    def enqueue(self, values: Mapping[str, str]) -> None:
        """Try this before anything that the sampler says, which adds the dimensions that are not given.

        Raises `InvalidInput` for what is not in the search space.
        """
        inner = in_space(self.spec, values)
        with samplers.quiet():
            self.inner.enqueue_trial(inner)

    def began(self, number: int, run_ids: Sequence[str]) -> None:
        """Which runs try it. Called before they start, so that nobody tries it again."""
        self._trial(number).set_user_attr(trials.RUNS, list(run_ids))

    def ended(self, number: int, results: Sequence[float] | None, constraints: Sequence[float] = ()) -> None:
        """What it came to: one number an objective, and by how much each constraint is broken.

        None, or a result that is no number, is a failed trial. Changes nothing of one that has ended.
        """
        from optuna.trial import TrialState

        if self._frozen(number).state.is_finished():
            return
        with samplers.quiet():
            if results is None or any(map(math.isnan, results)):
                self.inner.tell(number, state=TrialState.FAIL)
                return
            trial = self._trial(number)
            for constraint, excess in zip(self.spec.constraints, constraints, strict=True):
                trial.set_constraint(constraint.text, excess)
            self.inner.tell(number, list(results))

    def pruned(self, number: int) -> None:
        """It was given up; its last report stands for its result. Changes nothing of one that has ended."""
        from optuna.trial import TrialState

        with samplers.quiet():
            self.inner.tell(number, state=TrialState.PRUNED, skip_if_finished=True)

    def report(self, number: int, step: int | None, value: float) -> None:
        """How it does so far. Without a step it is the next one; what was reported of a step remains."""
        if len(self.spec.objectives) > 1:  # nobody judges by it
            return
        trial = self._frozen(number)
        if trial.state.is_finished():
            return
        if step is None or step < 0:
            step = max(trial.intermediate_values, default=-1) + 1
        with samplers.quiet():
            self._trial(number).report(value, step)

    def should_prune(self, number: int) -> bool:
        """Whether it is to be given up, by its last report."""
        trial = self._frozen(number)
        if len(self.spec.objectives) > 1 or trial.state.is_finished() or not trial.intermediate_values:
            return False
        with samplers.quiet():
            return self._trial(number).should_prune()

    @property
    def open_trials(self) -> list[Asked]:
        """Those that were asked for and have not ended."""
        from optuna.trial import TrialState

        running = self.inner.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trials.asked(self.spec, trial) for trial in running]

    @property
    def trials(self) -> list[Trial]:
        """All that were asked for, by their numbers; those that are only enqueued have none."""
        from optuna.trial import TrialState

        found = self.inner.get_trials(deepcopy=False)
        return [trials.tried(self.spec, trial) for trial in found if trial.state != TrialState.WAITING]

    @property
    def best(self) -> list[Trial]:
        """The best one of those that keep to the constraints; with several objectives the Pareto front."""
        with samplers.quiet():
            if len(self.spec.objectives) > 1:
                found = self.inner.best_trials
            else:
                try:
                    found = [self.inner.best_trial]
                except ValueError:  # there is none
                    found = []
        return [trials.tried(self.spec, trial) for trial in found]

    @property
    def waiting(self) -> int:
        """How many are enqueued."""
        from optuna.trial import TrialState

        return len(self.inner.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is left to be asked for, which only a grid comes to."""
        return self.spec.sampler == "grid" and not self.waiting and not any(self._points_left)

    @functools.cached_property
    def _grid(self) -> list[dict[str, str]]:
        """Its points, of which a part is any part."""
        points = space.grid(self.spec.dimensions)
        if self.spec.trials is not None and self.spec.trials < len(points):
            random.Random(self.spec.seed).shuffle(points)  # noqa: S311 (no secret)
        return points

    @property
    def _points_left(self) -> Iterator[dict[str, str]]:
        asked = {frozenset(trial.values.items()) for trial in self.trials}
        return (point for point in self._grid if frozenset(point.items()) not in asked)

    def _complete_questions(self) -> None:
        """A controller may have died in the middle of a question."""
        from optuna.trial import TrialState

        for trial in self.inner.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            values = trials.values(self.spec, trial)
            if any(item.applies(values) and item.name not in values for item in self.spec.dimensions):
                self.inner.sampler = samplers.sampler(self.spec, trial.number)
                self.suggest(self._trial(trial.number))

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(
            self.storage.get_study_id_from_name(NAME), number
        )

    def _frozen(self, number: int) -> FrozenTrial:
        return self.storage.get_trial(self._id(number))

    def _trial(self, number: int) -> optuna.Trial:
        """One that perhaps another process has asked for."""
        import optuna

        return optuna.Trial(self.inner, self._id(number))


def in_space(spec: SweepSpec, values: Mapping[str, str]) -> dict[str, str | int | float]:
    """As Optuna has them. Raises `InvalidInput` for what is not searched."""
    domains = {dimension.name: dimension.domain for dimension in spec.dimensions}
    inner: dict[str, str | int | float] = {}
    for name, text in values.items():
        if name not in domains:
            raise InvalidInput(
                f"{name}={text} cannot be tried: {name} is not searched.",
                f"Searched are {', '.join(domains)}; the others are the same for all trials.",
            )
        if not domains[name].has(text):
            raise InvalidInput(
                f"{name}={text} cannot be tried: it is not in {domains[name].text}.",
                "Try a value that is, or search a larger range.",
            )
        inner[name] = samplers.value(domains[name], text)
    return inner


def _cut_off_half_line(file: Path) -> None:
    """Whoever wrote it died before anybody was told of it."""
    content = file.read_bytes() if file.exists() else b""
    if content and not content.endswith(b"\n"):
        with file.open("r+b") as journal:
            journal.truncate(content.rfind(b"\n") + 1)
