"""What a run comes to, as data: everything that a backend needs to know, and no secret value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trainer.images.image import RunImage
from trainer.plan.consent import RequestedPermissions
from trainer.plan.parameter_values import Origin
from trainer.plan.warm_start import WarmStart
from trainer.projects import shell_command
from trainer.projects.mlproject import EntryPoint
from trainer.projects.mounts import Mount
from trainer.source.snapshot import Commit


@dataclass(frozen=True)
class Rerun:
    """An earlier run that is made again, and what the new one has of it instead of finding it out."""

    run_id: str
    commit: Commit | None
    origins: Mapping[str, Origin]
    in_code: Mapping[str, str] = field(default_factory=dict)
    """By parameter, what was a file of the project: its path there."""


@dataclass(frozen=True)
class Code:
    """What is run, and where that comes from."""

    project: str
    source: str
    folder: Path
    entry_point: str
    declared: EntryPoint = field(default_factory=lambda: EntryPoint("main", ""))
    """The entry point as the MLproject has it."""
    again: Rerun | None = None


@dataclass(frozen=True)
class Inputs:
    """The values of the run's parameters, and the files that they name."""

    parameters: Mapping[str, str]
    mounts: tuple[Mount, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    """By parameter, the names in data/ and the paths on this machine that the run is given."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Of the parameters."""
    in_code: Mapping[str, str] = field(default_factory=dict)
    """By parameter, files of the code: their paths in it."""
    downloads: Mapping[str, str] = field(default_factory=dict)
    """Parameters of type path that name a URI: it is fetched when the run starts."""
    warm_start: WarmStart | None = None
    """The finished run whose model is trained further; it is among the downloads."""


@dataclass(frozen=True)
class Environment:
    """What the run's process is told before it starts."""

    variables: Mapping[str, str]
    secret_names: tuple[str, ...] = ()
    seed: int | None = None
    deterministic: bool = False


@dataclass(frozen=True)
class Resources:
    """What the run is given of the machine. Sizes as Docker writes them: `8g`."""

    gpus: str
    memory: str | None
    shared_memory: str
    pids_limit: int
    read_only: bool
    cpus: int | None = None
    """Cores that no other run which asks for some has at the same time; None for all, shared with others."""


@dataclass(frozen=True)
class Tracking:
    """What the run is called on the tracking server, and what is stored with it there."""

    experiment: str
    run_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    keep_files: bool = False
    """Whether files that it leaves in its folder and does not log become artifacts."""


@dataclass(frozen=True)
class RunPlan:
    """Everything that a backend needs to know, and no secret value."""

    code: Code
    backend: str
    image: RunImage
    command: tuple[str, ...]
    inputs: Inputs
    environment: Environment
    resources: Resources
    tracking: Tracking
    remarks: tuple[str, ...] = ()
    """What the user should know before it runs."""
    asked: RequestedPermissions = field(default_factory=RequestedPermissions)
    """What the user has to allow, if the project is not their own."""
    image_id: str = ""
    """What `Backend.prepare` returned for the image of an earlier run, which is had by that and by no tag."""

    @property
    def image_reference(self) -> str:
        """The image as the engine is asked for it: by its id where that is known, else by its tag."""
        return self.image_id or self.image.tag

    @property
    def logged_parameters(self) -> dict[str, str]:
        """The parameters as the tracking server has them: a default path is as declared, on every machine."""
        defaults = {
            parameter.name: parameter.default
            for parameter in self.code.declared.parameters
            if parameter.type == "path" and parameter.default is not None
        }
        return {
            name: defaults[name] if name in defaults and self.inputs.origins.get(name) == "default" else value
            for name, value in self.inputs.parameters.items()
        }

    @property
    def needs_bash(self) -> bool:
        """Whether its command is for bash."""
        return self.command[:2] == shell_command.BASH

    def as_json(self) -> dict[str, object]:
        """The plan in JSON's types, the image by its tag and digests."""
        code, inputs, environment, tracking = self.code, self.inputs, self.environment, self.tracking
        return {
            "project": code.project,
            "source": code.source,
            "folder": str(code.folder),
            "entry_point": code.entry_point,
            "experiment": tracking.experiment,
            "run_name": tracking.run_name,
            "backend": self.backend,
            "image": {
                "name": self.image.name,
                "tag": self.image.tag,
                "digest": self.image.digest,
                "requirements_digest": self.image.requirements_digest,
                "base_image": self.image.base_image,
            },
            "command": self.command,
            "parameters": inputs.parameters,
            "environment": environment.variables,
            "secret_names": environment.secret_names,
            "mounts": [asdict(mount) for mount in inputs.mounts],
            **asdict(self.resources),
            "tags": tracking.tags,
            "seed": environment.seed,
            "deterministic": environment.deterministic,
            "keep_files": tracking.keep_files,
            "data": inputs.data,
            "origins": inputs.origins,
            "in_code": inputs.in_code,
            "downloads": inputs.downloads,
            "warm_start": inputs.warm_start.run_id if inputs.warm_start else None,
            "remarks": self.remarks,
            "reproduces": code.again.run_id if code.again else None,
            "asks_to": list(self.asked.wants),
        }
