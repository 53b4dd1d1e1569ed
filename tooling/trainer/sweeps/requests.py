"""What a sweep asks of `trainer run` for each of its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trainer.backends import registry
from trainer.errors import InvalidInput
from trainer.plan import request as plans
from trainer.plan import seeding
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects.mlproject import Project
from trainer.sweeps.search import space
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.studies import samplers, study
from trainer.tracking import names, run_tags
from trainer.workspace.settings import Workspace

MARK = "sweep"
"""The value of the tag by which a parent run is known for a sweep's."""


@dataclass(frozen=True)
class Unit:
    """One run of a trial: with --repeat a trial has several."""

    trial: int
    values: Mapping[str, str]
    repeat: int = 0


@dataclass(frozen=True)
class Origin:
    """Where the project comes from, as runs say it: `trainer.projects.sources.Source`."""

    name: str
    commit: str
    """Of a git URL; else empty."""


def base(spec: SweepSpec, project: Project, origin: Origin) -> RunRequest:
    """What all trials have in common."""
    options = spec.options
    return RunRequest(
        project=project,
        source=origin.name,
        commit=origin.commit,
        entry_point=spec.entry_point,
        parameters=spec.parameters,
        backend=registry.target(options.backend or registry.DEFAULT),
        image=options.image,
        gpus=options.gpus,
        cpus=options.cpus,
        memory=options.memory,
        experiment=options.experiment,
        tags=options.tags,
    )


def check(spec: SweepSpec, project: Project) -> None:
    """Raises `InvalidInput` for what cannot be searched so, before anything exists."""
    entry_point = project.entry_point(spec.entry_point)
    if not spec.objectives:
        raise InvalidInput(
            "No metric is given that the trials are judged by.", "--metric val_accuracy --goal maximize"
        )
    if not spec.dimensions:
        raise InvalidInput("Nothing is searched.", "--search learning_rate=loguniform:1e-5,1e-2")
    space.check(spec.dimensions, entry_point, spec.parameters)
    samplers.check(spec)
    for values in spec.tries:
        study.in_space(spec, values)
    if spec.run_name is not None:
        names.check_run_name(spec.run_name)
    searched = [dimension.name for dimension in spec.dimensions]
    if spec.repeat > 1 and spec.pruner != "none":
        raise InvalidInput(
            f"--repeat judges a trial by the mean of its runs, and --pruner {spec.pruner} by one.",
            "Leave out one of the two.",
        )
    if spec.repeat > 1 and seeding.PARAMETER in {*spec.parameters, *searched}:
        raise InvalidInput(
            "--repeat gives every run of a trial a seed of its own, and seed is given.",
            "Leave out one of the two.",
        )


def plan(workspace: Workspace, request: RunRequest, unit: Unit, spec: SweepSpec, parent_id: str) -> RunPlan:
    """The plan of one run. Raises `InvalidInput`."""
    tags = {run_tags.PARENT_RUN: parent_id, run_tags.TRIAL: str(unit.trial)}
    name = f"trial-{unit.trial}"
    if spec.repeat > 1:
        tags[run_tags.REPEAT] = str(unit.repeat)
        name = f"{name}-{unit.repeat}"
    return plans.make(
        workspace,
        replace(
            request,
            parameters={**request.parameters, **unit.values},
            run_name=name,
            tags={**request.tags, **(tags if parent_id else {})},
            seed=spec.seed + unit.repeat if spec.repeat > 1 else request.seed,
        ),
    )
