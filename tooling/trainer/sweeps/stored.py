"""A sweep as the tracking server has it, for who looks at it in any workspace, or on another machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainer.errors import InvalidInput, TrackingError
from trainer.sweeps import judging, parent, report, resume, state, units
from trainer.sweeps.report import SweepView, TrialView
from trainer.sweeps.requests import Unit
from trainer.sweeps.search import spec_file
from trainer.sweeps.search.spec import SweepSpec
from trainer.tracking import run_tags, search
from trainer.tracking.client import Client, Run
from trainer.tracking.search import families
from trainer.workspace.settings import Workspace


def is_sweep(run: Run) -> bool:
    """Whether it is the parent run of a sweep."""
    return run_tags.SWEEP in run.tags


def children(client: Client, parent_run: Run) -> list[Run]:
    """The runs within a run, the oldest first."""
    found = search.newest(
        client, parent_run.experiment_id, None, f"tags.`{run_tags.PARENT_RUN}` = '{parent_run.id}'"
    )
    return [run for run in reversed(found) if families.parent_of(run) == parent_run.id]


def spec_of(workspace: Workspace, client: Client, run: Run) -> SweepSpec:
    """What the sweep searches: as this workspace has it, else as it is stored with the run.

    Raises `InvalidInput` where neither is there: it goes on in another workspace.
    """
    folder = state.find(workspace, run.id)
    if folder is not None:
        return spec_file.read(folder.spec)
    try:
        content = b"".join(client.download(run, f"{parent.FOLDER}/sweep.yaml"))
    except TrackingError:
        raise InvalidInput(
            f"What the sweep {run.name} searches is not stored with it yet.",
            "It is when the sweep has ended. Until then, look at it in the workspace that runs it.",
        ) from None
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / "sweep.yaml"
        file.write_bytes(content)
        return spec_file.read(file)


def view(spec: SweepSpec, run: Run, runs: Sequence[Run], now: float) -> SweepView:
    """The sweep of a parent run, by the runs of its trials."""
    trials = [_trial(spec, number, of_trial) for number, of_trial in resume.by_number(runs).items()]
    names = tuple(dimension.name for dimension in spec.dimensions)
    best = report.best_of(spec.objectives, trials)
    found = SweepView(spec.objectives, names, trials, best, spec.trials, None, run.name, run.id)
    if run.status != "RUNNING":
        return found
    return replace(found, eta_s=report.time_left(found, spec.parallel, now))


def _trial(spec: SweepSpec, number: int, runs: Sequence[Run]) -> TrialView:
    first = runs[0]
    searched = {dimension.name for dimension in spec.dimensions}
    values = {name: value for name, value in first.parameters.items() if name in searched}
    ids = tuple(run.id for run in runs)
    if running := next((run for run in runs if run.status == "RUNNING"), None):
        latest = running.metrics.get(spec.objectives[0].metric) if spec.objectives else None
        results = () if latest is None else (latest,)
        return TrialView(number, values, "running", results, run_ids=ids, started=first.started)
    ended = [units.of_server(Unit(number, values), run) for run in runs]
    verdict = judging.judge(spec, ended)
    return TrialView(
        number,
        values,
        "stopped" if verdict.state == "interrupted" else verdict.state,
        verdict.results,
        run_ids=ids,
        started=first.started,
        took_s=sum(each.took_s for each in ended),
        why=verdict.why,
        is_feasible=all(excess <= 0 for excess in verdict.broken),
    )
