"""From what the user asked for to the plan of a run: nothing is created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from trainkit import run_environment

from trainer import git
from trainer.datasets import catalog
from trainer.datasets.tables import parameters as table_parameters
from trainer.engine.run_user import host_ids
from trainer.errors import InvalidInput
from trainer.images.image import RunImage
from trainer.plan import (
    consent,
    limits,
    parameter_values,
    remarks,
    revealed,
    run_image,
    run_mounts,
    seeding,
    warm_start,
)
from trainer.plan.consent import RequestedPermissions, StoredRun
from trainer.plan.parameter_values import Origin
from trainer.plan.run_plan import (
    Code,
    Environment,
    Inputs,
    Rerun,
    Resources,
    RunPlan,
    Tracking,
)
from trainer.plan.target import Target
from trainer.plan.warm_start import WarmStart
from trainer.projects import docker_env, mlproject
from trainer.projects.mlproject import EntryPoint, Project
from trainer.projects.mounts import Mount
from trainer.projects.parameters import is_elsewhere
from trainer.source import snapshot
from trainer.tracking import names, run_tags
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

SAME_IN_ALL_RUNS = MappingProxyType(
    {
        # Inside a run there is no git, and MLflow would complain about that at every start.
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # It would print the address that containers use, which a browser on the host cannot open.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
)
"""Variables that keep MLflow quiet."""


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for, before any of it was checked."""

    project: Project
    source: str
    backend: Target
    commit: str = ""
    """Of a git URL."""
    entry_point: str = "main"
    parameters: Mapping[str, str] = field(default_factory=dict)
    experiment: str | None = None
    run_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    """Instead of the project's own."""
    gpus: str | None = None
    cpus: int | None = None
    memory: str | None = None
    read_only: bool | None = None
    base_image: str | None = None
    seed: int | None = None
    """Of a project that declares a parameter `seed`: its value."""
    deterministic: bool | None = None
    keep_files: bool = False
    recorded_image: RunImage | None = None
    """Of a run that is taken up again, instead of one of the workspace."""
    again: Rerun | None = None
    stored: StoredRun | None = None
    """Of a run whose stored code this is."""
    warm_start: WarmStart | None = None
    taken_over: frozenset[str] = frozenset()
    """The parameters whose values an earlier run had, which the user has not named."""

    @property
    def options(self) -> Iterator[tuple[str, str]]:
        """The options with a text of the user's own that is stored with the run, and that text."""
        texts = {
            "--experiment": self.experiment,
            "--run-name": self.run_name,
            "--image": self.image,
            "--base-image": self.base_image,
        }
        yield from ((option, text) for option, text in texts.items() if text)
        yield from (("--tag", f"{key}={value}") for key, value in self.tags.items())


def make(workspace: Workspace, request: RunRequest) -> RunPlan:
    """Check the request and work out the run. Raises `InvalidInput`; creates nothing.

    Raises `FileError` where git cannot be asked what of the code it ignores.
    """
    project = request.project
    git.check(project.folder)
    entry_point = project.entry_point(request.entry_point)
    seeded = seeding.with_seed(entry_point, request.parameters, request.seed)
    # What an earlier run had comes from no settings of today.
    values, origins_found = parameter_values.of(
        workspace, project, entry_point, seeded, with_settings=request.again is None
    )
    origins = request.again.origins if request.again else origins_found
    experiment = request.experiment or project.name
    names.check(experiment, request.run_name, request.tags, values)
    _check_data(workspace, entry_point, values, origins)
    image = request.recorded_image or run_image.choose(workspace, project, request.image, request.base_image)
    is_asked_for = request.image or request.recorded_image or not run_image.declares_no_environment(project)
    warm = request.warm_start
    if warm and not request.stored:
        warm_start.check(project, image)
    fallback = None if is_asked_for else image.tag
    gpus = limits.gpus(("all" if image.wants_gpus else "none") if request.gpus is None else request.gpus)
    volumes = docker_env.mounts(project.name, project.folder, project.volumes)
    # The cache of an image that is not ours would be a folder of root's.
    cache = (
        Mount(cache_volume(), run_environment.CACHE, read_only=False, kind="volume")
        if image.has_cache
        else None
    )
    mounts, values_seen, folders = run_mounts.of(
        workspace, request.backend, entry_point, values, volumes, cache
    )
    secret_names = tuple(name for name, value in project.environment if value is None)
    chosen_values = {name: value for name, value in values.items() if origins.get(name) != "default"}
    loaded = secrets.read(workspace)
    revealed.check(loaded, secret_names, chosen_values, request.options)
    variables = docker_env.variables(project.volumes)
    revealed.check_variables(loaded, secret_names, variables)
    settings = workspace.settings
    deterministic = settings.deterministic if request.deterministic is None else request.deterministic
    in_code = request.again.in_code if request.again else _in_code(project, entry_point, values)
    seed = seeding.seed_of(values, request.seed, deterministic=deterministic)
    paths = {
        declared.name: values[declared.name] for declared in entry_point.parameters if declared.type == "path"
    }
    # What a run was given once, its server says now.
    named = {
        name: value
        for name, value in chosen_values.items()
        if not request.recorded_image and name not in request.taken_over
    }
    location = consent.ProjectLocation(workspace, project.folder)
    asks = (
        *consent.of_environment(location, request.backend, volumes, secret_names, variables),
        *consent.of_paths(location, request.backend, paths, named),
    )
    return RunPlan(
        code=Code(project.name, request.source, project.folder, entry_point.name, entry_point, request.again),
        backend=request.backend.name,
        image=image,
        command=mlproject.command_line(entry_point, values_seen),
        inputs=Inputs(
            values,
            mounts,
            data={
                parameter.name: values[parameter.name]
                for parameter in entry_point.parameters
                if (parameter.type == "path" or parameter.names_data(values[parameter.name]))
                and not is_elsewhere(values[parameter.name])
                and parameter.name not in in_code
            },
            origins=origins,
            in_code=in_code,
            downloads={
                **{name: value for name, value in paths.items() if is_elsewhere(value)},
                **({warm_start.INPUT: warm.uri} if warm else {}),
            },
            warm_start=warm,
        ),
        environment=Environment(
            {
                **seeding.environment(seed, deterministic=deterministic),
                **{name: value for name, value in project.environment if value is not None},
                **folders,
                # A script that was given GPUs and finds none has to say so.
                run_environment.GPUS: gpus,
                **(warm.variables if warm else {}),
                **SAME_IN_ALL_RUNS,
            },
            secret_names,
            seed,
            deterministic,
        ),
        resources=Resources(
            gpus,
            limits.memory(request.memory),
            settings.shm_size,
            settings.pids_limit,
            settings.read_only if request.read_only is None else request.read_only,
            limits.cpus(request.cpus),
        ),
        tracking=Tracking(
            experiment,
            request.run_name,
            {**_own_tags(project), **request.tags},
            request.keep_files,
        ),
        asked=RequestedPermissions(request.source, request.commit, asks, request.stored, location.is_own),
        remarks=(
            *image.remarks,
            *remarks.of(project, entry_point, values, mounts, request.backend, fallback),
        ),
    )


def _check_data(
    workspace: Workspace, entry_point: EntryPoint, values: Mapping[str, str], origins: Mapping[str, Origin]
) -> None:
    """Raises `InvalidInput` for a dataset that is not there, then for a column that a table does not have."""
    for parameter in sorted(entry_point.parameters, key=lambda parameter: bool(parameter.column_of)):
        with parameter_values.errors_naming(workspace, origins.get(parameter.name)):
            if parameter.names_data(values[parameter.name]):
                catalog.check(workspace, parameter, values[parameter.name])
            if parameter.column_of:
                table_parameters.check(workspace, entry_point, parameter, values)
    table_parameters.check_together(workspace, entry_point, values)


def _own_tags(project: Project) -> dict[str, str]:
    return {run_tags.PRIMARY_METRIC: project.primary_metric} if project.primary_metric else {}


def _in_code(project: Project, entry_point: EntryPoint, values: Mapping[str, str]) -> dict[str, str]:
    """What travels with the code anyway, and is pinned with it. What git ignores does not."""
    paths = {
        parameter.name: Path(values[parameter.name])
        for parameter in entry_point.parameters
        if parameter.type == "path" and not is_elsewhere(values[parameter.name])
    }
    folder = project.folder.resolve()
    inside = {name: path.relative_to(folder) for name, path in paths.items() if path.is_relative_to(folder)}
    files = set(snapshot.files(folder)) if inside else set()
    return {name: path.as_posix() for name, path in inside.items() if path in files}


def secret_values(plan: RunPlan, get: Mapping[str, str | None]) -> dict[str, str]:
    """The values of the variables that the project declares.

    Raises `InvalidInput` for one that is not set.
    """
    missing = [name for name in plan.environment.secret_names if not get.get(name)]
    if missing:
        raise InvalidInput(
            f"{plan.code.project} needs the variable {missing[0]}, which is not set.",
            f"trainer secrets set {missing[0]}, or set it in the environment.",
        )
    return {name: value for name in plan.environment.secret_names if (value := get.get(name))}


def cache_volume() -> str:
    """The name of the volume for caches: one a user, since another one could not write what this one made."""
    return f"trainer-cache-{host_ids()[0]}"
