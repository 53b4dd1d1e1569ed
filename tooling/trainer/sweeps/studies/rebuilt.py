"""A study made again from the runs of its trials: its journal is lost or torn, or on another machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer import atomic_files
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.studies import samplers
from trainer.sweeps.studies.study import NAME, Study
from trainer.sweeps.studies.trials import Trial


def rebuild(file: Path, spec: SweepSpec, trials: Sequence[Trial]) -> Study:
    """In the file, whatever it was. The caller holds the sweep's lock. See `remembered`."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    prepared = atomic_files.beside(file)
    prepared.unlink(missing_ok=True)
    with samplers.quiet():
        optuna.copy_study(
            from_study_name=NAME,
            from_storage=remembered(spec, trials).storage,
            to_storage=JournalStorage(JournalFileBackend(str(prepared))),
        )
    prepared.replace(file)
    atomic_files.sync_folder(file.parent)
    return Study.open(file, spec)


def remembered(spec: SweepSpec, trials: Sequence[Trial]) -> Study:
    """A study in memory, of what these trials came to: it asks what the original would have asked.

    `values` of a trial may have other parameters too. A number that no trial has any more is a failed one; of
    the tries of `spec`, those that no trial has had are enqueued.
    """
    from optuna.storages import InMemoryStorage
    from optuna.trial import TrialState, create_trial

    samplers.check(spec)
    study = Study.on(InMemoryStorage(), spec)
    by_number = {trial.number: trial for trial in trials}
    for number in range(max(by_number, default=-1) + 1):
        if trial := by_number.get(number):
            _replay(study, trial)
        else:
            study.inner.add_trial(create_trial(state=TrialState.FAIL))
    for values in spec.tries:
        if not any(_is_of(trial.values, values) for trial in study.trials):
            study.enqueue(values)
    return study


def _replay(study: Study, trial: Trial) -> None:
    """Ask for it, and tell what it came to: samplers and pruners note in the study what they need later."""
    searched = {dimension.name for dimension in study.spec.dimensions}
    study.enqueue({name: value for name, value in trial.values.items() if name in searched})
    was_sampled = trial.number >= len(study.spec.tries)
    study.suggest(study.question(remember=was_sampled and study.spec.sampler in samplers.REMEMBERING))
    if trial.run_ids:
        study.began(trial.number, trial.run_ids)
    for step, value in sorted(trial.reports.items()):
        study.report(trial.number, step, value)
        study.should_prune(trial.number)
    if trial.state == "pruned":
        study.pruned(trial.number)
    elif trial.state != "running":
        study.ended(trial.number, trial.results, trial.constraints)


def _is_of(values: Mapping[str, str], tried: Mapping[str, str]) -> bool:
    """Whether a trial of these values is one of that try, whose conditions may leave out some."""
    return bool(values) and all(values.get(name, text) == text for name, text in tried.items())
