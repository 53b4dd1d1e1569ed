"""What earlier processes left of a sweep: its runs, as the tracking server and this disk have them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from trainer.runs import reconcile
from trainer.sweeps import judging, units
from trainer.sweeps.requests import Unit
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.studies.trials import Trial
from trainer.sweeps.units import Elsewhere, Ended, Running
from trainer.tracking import delivery, run_tags, search
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server
from trainer.tracking.search.trials import counting, repeat_of, trial_of
from trainer.workspace import run_folder, run_folders
from trainer.workspace.settings import Workspace

_OTHERS_S = 10
"""Who settles a run that has just ended needs no longer for it."""


def children(workspace: Workspace, client: Client, parent: Run) -> list[Run]:
    """The runs of its trials, the oldest first. Those that have ended are told to the server first."""
    for _ in reconcile.reconcile(workspace):
        pass
    condition = f"tags.`{run_tags.PARENT_RUN}` = '{parent.id}'"
    found = search.newest(client, parent.experiment_id, None, condition)
    return [_as_ended(workspace, client, run) for run in reversed(found)]


def _as_ended(workspace: Workspace, client: Client, run: Run) -> Run:
    """A run whose end the server could not be told yet, as it ended."""
    folder = run_folder.of(workspace, run.id)
    status = run_folders.ended(folder)
    if run.status != "RUNNING" or status is None:
        return run
    known = delivery.known_run(Server(client.server.uri), folder)
    return replace(run, status=status, metrics=known.metrics)


def take(
    workspace: Workspace, client: Client, run: Run, values: Mapping[str, str]
) -> Running | Elsewhere | Ended:
    """A run of a trial: this process looks after it from now on, or somebody else does, or it has ended."""
    unit, deadline = Unit(trial_of(run), values, repeat_of(run)), time.monotonic() + _OTHERS_S
    while run.status == "RUNNING":
        if running := units.adopt(workspace, unit, run):
            return running
        if not run_folders.is_live(workspace, run.id):
            run = client.get_run(run.id)
            if run.status == "RUNNING" and not run_folder.of(workspace, run.id).path.exists():
                client.set_tags(run.id, {run_tags.END: "lost"})
                client.end_run(run.id, "KILLED")
                return units.of_server(unit, client.get_run(run.id))
        elif time.monotonic() > deadline:
            return Elsewhere(unit, run)
        time.sleep(0.1)
    return units.of_server(unit, run)


def trials(spec: SweepSpec, runs: Sequence[Run]) -> list[Trial]:
    """What the runs tell of the trials: enough to make the study again."""
    return [_trial(spec, number, found) for number, found in by_number(runs).items()]


def by_number(runs: Iterable[Run]) -> dict[int, list[Run]]:
    """The trials by their numbers, in order: the runs of each that count."""
    found: dict[int, list[Run]] = {}
    for run in runs:
        if (number := trial_of(run)) >= 0:
            found.setdefault(number, []).append(run)
    return {number: counting(found[number]) for number in sorted(found)}


def _trial(spec: SweepSpec, number: int, runs: Sequence[Run]) -> Trial:
    values, ids = runs[0].parameters, tuple(run.id for run in runs)
    ended = [units.of_server(Unit(number, values), run) for run in runs if run.status != "RUNNING"]
    if len(ended) < spec.repeat or any(each.state == "interrupted" for each in ended):
        return Trial(number, values, "running", run_ids=ids)
    verdict = judging.judge(spec, ended)
    if verdict.state == "finished":
        return Trial(number, values, "complete", verdict.results, ids, verdict.broken)
    return Trial(number, values, "pruned" if verdict.state == "pruned" else "failed", run_ids=ids)
