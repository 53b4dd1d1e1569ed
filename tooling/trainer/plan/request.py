"""What a run comes to, as data: made without creating anything, printed by `--dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trainer import git
from trainer.datasets import catalog
from trainer.engine.run_user import host_ids
from trainer.errors import BadInput
from trainer.images.image import RunImage
from trainer.plan import consent, limits, parameter_values, remarks, revealed, run_image, run_mounts, seeding
from trainer.plan.consent import Asked, StoredRun
from trainer.plan.parameter_values import Origin
from trainer.plan.target import Target
from trainer.projects import docker_env, mlproject
from trainer.projects import shell_command as command
from trainer.projects.mlproject import EntryPoint, Project
from trainer.projects.mounts import Mount
from trainer.projects.parameters import is_elsewhere
from trainer.source import snapshot
from trainer.source.snapshot import Commit
from trainer.tracking import names
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Again:
    """An earlier run that is made again, and what the new one has of it instead of finding it out."""

    run_id: str
    commit: Commit | None
    origins: Mapping[str, Origin]
    in_code: Mapping[str, str] = field(default_factory=dict)
    """By parameter, what was a file of the project: its path there."""


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
    memory: str | None = None
    read_only: bool | None = None
    base_image: str | None = None
    seed: int | None = None
    """Of a project that declares a parameter `seed`: its value."""
    deterministic: bool | None = None
    keep_files: bool = False
    recorded_image: RunImage | None = None
    """Of a run that is taken up again, instead of one of the workspace."""
    again: Again | None = None
    stored: StoredRun | None = None
    """Of a run whose stored code this is."""

    @property
    def options(self) -> Iterator[tuple[str, str]]:
        """The options with a text of the user's own that is stored with the run, and that text."""
        said = {
            "--experiment": self.experiment,
            "--run-name": self.run_name,
            "--image": self.image,
            "--base-image": self.base_image,
        }
        yield from ((option, text) for option, text in said.items() if text)
        yield from (("--tag", f"{key}={value}") for key, value in self.tags.items())


@dataclass(frozen=True)
class RunPlan:
    """Everything that a backend needs to know, and no secret value."""

    project: str
    source: str
    folder: Path
    entry_point: str
    experiment: str
    run_name: str | None
    backend: str
    image: RunImage
    command: tuple[str, ...]
    parameters: Mapping[str, str]
    environment: Mapping[str, str]
    secret_names: tuple[str, ...]
    mounts: tuple[Mount, ...]
    gpus: str
    memory: str | None
    shared_memory: str
    pids_limit: int
    read_only: bool
    tags: Mapping[str, str]
    seed: int | None = None
    deterministic: bool = False
    keep_files: bool = False
    """Whether files that it leaves in its folder and does not log become artifacts."""
    data: Mapping[str, str] = field(default_factory=dict)
    """By parameter, the names in data/ and the paths on this machine that the run is given."""
    declared: EntryPoint = field(default_factory=lambda: EntryPoint("main", ""))
    """The entry point as the MLproject has it."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Of the parameters."""
    in_code: Mapping[str, str] = field(default_factory=dict)
    """By parameter, files of the code: their paths in it."""
    again: Again | None = None
    downloads: Mapping[str, str] = field(default_factory=dict)
    """Parameters of type path that name a URI: it is fetched when the run starts."""
    remarks: tuple[str, ...] = ()
    """What the user should know before it runs."""
    asked: Asked = field(default_factory=Asked)
    """What the user has to allow, if the project is not their own."""
    image_id: str = ""
    """What `Backend.prepare` returned for the image of an earlier run, which is had by that and by no tag."""

    @property
    def image_reference(self) -> str:
        """The image as the engine is asked for it: by its id where that is known, else by its tag."""
        return self.image_id or self.image.tag

    @property
    def needs_bash(self) -> bool:
        """Whether its command is for bash."""
        return self.command[:2] == command.BASH

    def as_json(self) -> dict[str, object]:
        """The plan in JSON's types, the image by its tag and digests."""
        said = asdict(self)
        said["folder"] = str(self.folder)
        said["image"] = {
            "name": self.image.name,
            "tag": self.image.tag,
            "digest": self.image.digest,
            "requirements_digest": self.image.requirements_digest,
            "base_image": self.image.base_image,
        }
        said["reproduces"] = self.again.run_id if self.again else None
        said["asks_to"] = list(self.asked.wants)
        for name in ("declared", "again", "asked", "image_id"):
            del said[name]
        return said


def make(workspace: Workspace, request: RunRequest) -> RunPlan:
    """Check the request and work out the run. Raises `BadInput`; creates nothing.

    Raises `FileError` where git cannot be asked what of the code it ignores.
    """
    project = request.project
    git.check(project.folder)
    entry_point = project.entry_point(request.entry_point)
    seeded = seeding.with_seed(entry_point, request.parameters, request.seed)
    # What an earlier run had comes from no settings of today.
    values, found = parameter_values.of(
        workspace, project, entry_point, seeded, with_settings=request.again is None
    )
    origins = request.again.origins if request.again else found
    experiment = request.experiment or project.name
    names.check(experiment, request.run_name, request.tags, values)
    for parameter in entry_point.parameters:
        if parameter.dataset:
            with parameter_values.said_in(workspace, origins.get(parameter.name)):
                catalog.check(workspace, parameter, values[parameter.name])
    image = request.recorded_image or run_image.choose(workspace, project, request.image, request.base_image)
    is_asked_for = request.image or request.recorded_image or not run_image.says_nothing(project)
    fallback = None if is_asked_for else image.tag
    gpus = limits.gpus(("all" if image.wants_gpus else "none") if request.gpus is None else request.gpus)
    volumes = docker_env.mounts(project.name, project.folder, project.volumes)
    # The cache of an image that is not ours would be a folder of root's.
    cache = Mount(cache_volume(), "/cache", read_only=False, kind="volume") if image.has_cache else None
    mounts, seen, folders = run_mounts.of(workspace, request.backend, entry_point, values, volumes, cache)
    secret_names = tuple(name for name, value in project.environment if value is None)
    said = {name: value for name, value in values.items() if origins.get(name) != "default"}
    known = secrets.read(workspace)
    revealed.check(known, secret_names, said, request.options)
    variables = docker_env.variables(project.volumes)
    revealed.check_variables(known, secret_names, variables)
    settings = workspace.settings
    deterministic = settings.deterministic if request.deterministic is None else request.deterministic
    in_code = request.again.in_code if request.again else _in_code(project, entry_point, values)
    seed = seeding.seed_of(values, request.seed, deterministic=deterministic)
    paths = {one.name: values[one.name] for one in entry_point.parameters if one.type == "path"}
    # What a run was given once, its server says now.
    named = {} if request.recorded_image else said
    place = consent.Place(workspace, project.folder)
    asks = (
        *consent.of_environment(place, request.backend, volumes, secret_names, variables),
        *consent.of_paths(place, request.backend, paths, named),
    )
    return RunPlan(
        project=project.name,
        source=request.source,
        folder=project.folder,
        entry_point=entry_point.name,
        experiment=experiment,
        run_name=request.run_name,
        backend=request.backend.name,
        image=image,
        command=mlproject.command_line(entry_point, seen),
        parameters=values,
        environment={
            **seeding.environment(seed, deterministic=deterministic),
            **{name: value for name, value in project.environment if value is not None},
            **folders,
            # A script that was given GPUs and finds none has to say so.
            "TRAINER_GPUS": gpus,
            # Inside a run there is no git, and MLflow would complain about that at every start.
            "GIT_PYTHON_REFRESH": "quiet",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # It would print the address that containers use, which a browser on the host cannot open.
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        },
        secret_names=secret_names,
        mounts=mounts,
        gpus=gpus,
        memory=limits.memory(request.memory),
        shared_memory=settings.shm_size,
        pids_limit=settings.pids_limit,
        read_only=settings.read_only if request.read_only is None else request.read_only,
        tags=dict(request.tags),
        seed=seed,
        deterministic=deterministic,
        keep_files=request.keep_files,
        data={
            parameter.name: values[parameter.name]
            for parameter in entry_point.parameters
            if (parameter.type == "path" or parameter.dataset)
            and not is_elsewhere(values[parameter.name])
            and parameter.name not in in_code
        },
        declared=entry_point,
        origins=origins,
        in_code=in_code,
        again=request.again,
        downloads={name: value for name, value in paths.items() if is_elsewhere(value)},
        asked=Asked(request.source, request.commit, asks, request.stored, place.is_own),
        remarks=(
            *image.remarks,
            *remarks.of(project, entry_point, values, mounts, request.backend, fallback),
        ),
    )


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
    """The values of the variables that the project declares; raises `BadInput` for one that is not set."""
    missing = [name for name in plan.secret_names if not get.get(name)]
    if missing:
        raise BadInput(
            f"{plan.project} needs the variable {missing[0]}, which is not set.",
            f"trainer secrets set {missing[0]}, or set it in the environment.",
        )
    return {name: value for name in plan.secret_names if (value := get.get(name))}


def cache_volume() -> str:
    """The name of the volume for caches: one a user, since another one could not write what this one made."""
    return f"trainer-cache-{host_ids()[0]}"
