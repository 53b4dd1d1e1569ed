"""What a run comes to, as data: made without creating anything, printed by `--dry-run`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from trainer import code, command, determinism, docker_env, inputs, projects, run_image
from trainer.code import Commit
from trainer.errors import BadInput
from trainer.images import ImagePlan
from trainer.mounts import Mount
from trainer.parameters import Parameter, is_elsewhere, nearest
from trainer.projects import EntryPoint, Project
from trainer.run_image import RunImage
from trainer.workspace import SIZE, Workspace

# data/NAME.manifest.json, which `trainer data snapshot` writes, is no data set.
MANIFEST = ".manifest.json"


Origin: TypeAlias = Literal["command line", "settings", "default"]
"""Where a parameter's value comes from."""


@dataclass(frozen=True)
class Again:
    """An earlier run that is made once more, and what the new one has of it instead of finding it out."""

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
    entry_point: str = "main"
    parameters: Mapping[str, str] = field(default_factory=dict)
    experiment: str | None = None
    run_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    backend: str = "docker"
    image: str | None = None
    """Instead of the project's own."""
    gpus: str | None = None
    memory: str | None = None
    read_only: bool | None = None
    base_image: str | None = None
    seed: int | None = None
    """Of a project that declares a parameter `seed`: its value."""
    deterministic: bool | None = None
    recorded_image: RunImage | None = None
    """Of a run that is taken up again, instead of one of the workspace."""
    again: Again | None = None


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
        for name in ("declared", "again"):
            del said[name]
        return said


def make(workspace: Workspace, request: RunRequest) -> RunPlan:
    """Check the request and work out the run. Raises `BadInput`; creates nothing."""
    project = request.project
    entry_point = project.entry_point(request.entry_point)
    values, origins = _values(workspace, project, entry_point, request)
    for parameter in entry_point.parameters:
        if parameter.dataset:
            _check_dataset(workspace, parameter, values[parameter.name])
    image = request.recorded_image or run_image.choose(workspace, project, request.image, request.base_image)
    wants_gpus = isinstance(image, ImagePlan) and image.spec.gpu
    gpus = _gpus(("all" if wants_gpus else "none") if request.gpus is None else request.gpus)
    volumes = docker_env.mounts(project.name, project.folder, project.volumes)
    mounts, seen, places = _places(workspace, request.backend, entry_point, values, volumes, image.has_cache)
    secret_names = tuple(name for name, value in project.environment if value is None)
    settings = workspace.settings
    deterministic = settings.deterministic if request.deterministic is None else request.deterministic
    in_code = request.again.in_code if request.again else _in_code(project, entry_point, values)
    seed = determinism.seed_of(values, request.seed, deterministic=deterministic)
    return RunPlan(
        project=project.name,
        source=request.source,
        folder=project.folder,
        entry_point=entry_point.name,
        experiment=request.experiment or project.name,
        run_name=request.run_name,
        backend=request.backend,
        image=image,
        command=projects.command_line(entry_point, seen),
        parameters=values,
        environment={
            **determinism.environment(seed, deterministic=deterministic),
            **{name: value for name, value in project.environment if value is not None},
            **places,
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
        memory=_memory(request.memory),
        shared_memory=settings.shm_size,
        pids_limit=settings.pids_limit,
        read_only=settings.read_only if request.read_only is None else request.read_only,
        tags=dict(request.tags),
        seed=seed,
        deterministic=deterministic,
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
        downloads={
            parameter.name: values[parameter.name]
            for parameter in entry_point.parameters
            if parameter.type == "path" and is_elsewhere(values[parameter.name])
        },
    )


def _values(
    workspace: Workspace, project: Project, entry_point: EntryPoint, request: RunRequest
) -> tuple[dict[str, str], dict[str, Origin]]:
    """The parameters' values and their origins: what is said, else trainer.yaml's, else the default."""
    seeded = determinism.with_seed(entry_point, request.parameters, request.seed)
    given = projects.named(project, entry_point, seeded)
    # Those of the entry point: the project's others may have parameters that this one has not.
    settings = {
        name: str(workspace.root / value) if parameter.type == "path" and not is_elsewhere(value) else value
        for name, value in workspace.settings.parameters.get(project.name, {}).items()
        if (parameter := entry_point.parameter(name)) and not request.again
    }
    values = projects.check(project, entry_point, {**settings, **given})
    if request.again:
        return values, dict(request.again.origins)
    origins: dict[str, Origin] = {
        name: "command line" if name in given else "settings" if name in settings else "default"
        for name in values
    }
    return values, origins


def _in_code(project: Project, entry_point: EntryPoint, values: Mapping[str, str]) -> dict[str, str]:
    """What travels with the code anyway, and is pinned with it. What git ignores does not."""
    paths = {
        parameter.name: Path(values[parameter.name])
        for parameter in entry_point.parameters
        if parameter.type == "path" and not is_elsewhere(values[parameter.name])
    }
    folder = project.folder.resolve()
    inside = {name: path.relative_to(folder) for name, path in paths.items() if path.is_relative_to(folder)}
    files = set(code.files(folder)) if inside else set()
    return {name: path.as_posix() for name, path in inside.items() if path in files}


def _places(
    workspace: Workspace,
    backend: str,
    entry_point: EntryPoint,
    values: Mapping[str, str],
    volumes: tuple[Mount, ...],
    has_cache: bool,
) -> tuple[tuple[Mount, ...], dict[str, str], dict[str, str]]:
    """Mounts, parameter values as the run sees them, and the variables that name its folders."""
    if backend == "local":
        if volumes:
            raise BadInput(
                "docker_env.volumes need a container: the local backend mounts nothing.",
                "Use the docker backend, or take them out of the MLproject.",
            )
        return (), dict(values), _folders(str(workspace.data), str(workspace.state / "cache"))
    # The cache of an image that is not ours would be a folder of root's.
    mounts = [Mount(cache_volume(), "/cache", read_only=False, kind="volume")] if has_cache else []
    own_data = [
        volume for volume in volumes if volume.target == "/data" or volume.target.startswith("/data/")
    ]
    if workspace.data.is_dir() and not own_data:
        mounts.append(Mount(str(workspace.data), "/data"))
    seen = dict(values)
    for parameter in entry_point.parameters:
        if parameter.dataset:
            if own_data:
                raise BadInput(
                    f"The volume at {own_data[0].target} hides the data set of {parameter.option}.",
                    "Mount it elsewhere, or give its place in a parameter of type string.",
                )
            mounts += _linked_data(workspace.data / values[parameter.name])
        if parameter.type != "path":
            continue
        if is_elsewhere(values[parameter.name]):
            seen[parameter.name] = f"/inputs/{parameter.name}/{inputs.name(values[parameter.name])}"
        else:
            source = Path(values[parameter.name])
            seen[parameter.name] = f"/inputs/{parameter.name}/{source.name}"
            mounts.append(Mount(str(source), seen[parameter.name]))
    return (*mounts, *volumes), seen, _folders("/data", "/cache" if has_cache else None)


def _folders(data: str, cache: str | None) -> dict[str, str]:
    where = {"TRAINER_DATA_DIR": data}
    return where | {"TRAINER_CACHE_DIR": cache, "MPLCONFIGDIR": f"{cache}/matplotlib"} if cache else where


def _check_dataset(workspace: Workspace, parameter: Parameter, value: str) -> None:
    """Raises `BadInput` for a name that data/ does not have."""
    if "://" in value:
        return
    found = datasets(workspace)
    if not value or Path(value).is_absolute() or ".." in Path(value).parts:
        raise BadInput(
            f"{parameter.option} is {value!r}, which is no name of a data set.",
            f"Name a file or folder in {workspace.data}.",
        )
    if not (workspace.data / value).exists():
        raise BadInput(
            f"{parameter.option} names {value}, which is not in {workspace.data}.",
            nearest(value, found, "There are")
            if found
            else f"Make one to try with: trainer data sample {value}",
        )
    try:
        place = workspace.data / value
        is_empty = place.is_dir() and next(os.scandir(place), None) is None
        if place.is_file():
            place.open("rb").close()
    except OSError as problem:
        raise BadInput(
            f"{parameter.option} names {place}, which cannot be read: {problem.strerror}.",
            "Let the user that runs trainer read it: chmod -R u+rX",
        ) from None
    if is_empty:
        raise BadInput(f"{parameter.option} names {place}, which is empty.", "Put the data set there.")


def datasets(workspace: Workspace) -> list[str]:
    """The names in data/ that a data set may have, sorted."""
    if not workspace.data.is_dir():
        return []
    ours = ("README.md",)
    names = (place.name for place in workspace.data.iterdir() if place.name not in ours)
    return sorted(name for name in names if name[0] != "." and not name.endswith(MANIFEST))


def _linked_data(place: Path) -> list[Mount]:
    """What a link in data/ leads to has to be where the link, seen from inside, leads."""
    if not place.is_symlink():
        return []
    inside = os.path.normpath(Path("/data") / place.readlink())
    return [] if Path(inside).is_relative_to("/data") else [Mount(str(place.resolve()), inside)]


def _gpus(asked: str) -> str:
    """Docker's own words for it: none, all, a number, or device=0,1."""
    if not re.fullmatch(r"none|all|[1-9][0-9]*|device=[\w,-]+", asked):
        raise BadInput(f"--gpus {asked} is not understood.", "Say none, all, a number, or device=0,1.")
    return asked


def _memory(asked: str | None) -> str | None:
    if asked is not None and not re.fullmatch(SIZE, asked):
        raise BadInput(f"--memory {asked} is not understood.", "Say a number and k, m or g: 512m, 8g.")
    return asked.lower() if asked else None


def bytes_of(size: str) -> int:
    """`512m` in bytes."""
    return int(size[:-1]) * {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[size[-1].lower()]


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
    ids = host_ids()
    return f"trainer-cache-{ids[0]}" if ids else "trainer-cache"


def host_ids() -> tuple[int, int] | None:
    """The user and group that a run has; None where the host has no such numbers (Windows)."""
    return (os.getuid(), os.getgid()) if hasattr(os, "getuid") else None
