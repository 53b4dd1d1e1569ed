"""The workspace: a folder with a trainer.yaml, and where everything in it lies."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from trainkit.errors import did_you_mean

from trainer import atomic_files, image_reference, yaml_file
from trainer.errors import InvalidInput

SETTINGS_FILE = "trainer.yaml"
VARIABLE = "TRAINER_WORKSPACE"
DEFAULT_BASE_IMAGE = "python:3.11-slim-bookworm"
SIZE = r"[1-9][0-9]{0,8}[kmgKMG]"  # as in `docker run --memory`; more bytes have no number there

RANGES = {
    "server_port": range(1, 65536),
    "gpu_free_gb": range(10**6 + 1),
    "disk_free_gb": range(10**9 + 1),
    "pids_limit": range(16, (1 << 22) + 1),  # what it takes to start a command; what Linux has at most
}


@dataclass(frozen=True)
class Settings:
    """What trainer.yaml may say. Nothing here is a secret: the file is committed."""

    base_image: str = DEFAULT_BASE_IMAGE
    """What trainer images are built on, where neither image.yaml nor TRAINER_BASE_IMAGE says otherwise."""
    tracking_uri: str | None = None
    """The tracking server that runs report to, such as https://mlflow.example.com, instead of the own one."""
    server_port: int = 5000
    """Where the workspace's own tracking server listens; the next free port if it is taken."""
    gpu_free_gb: int = 2
    """A GPU with less memory free than this is in use by somebody else: a run on it is refused."""
    disk_free_gb: int = 2
    """With less free than this, in the workspace or where the engine keeps its files, a run is refused."""
    shm_size: str = "2g"
    """The size of /dev/shm in a container. Docker's own 64 MB crash data loaders; pages are taken as used."""
    pids_limit: int = 4096
    """How many processes and threads a run's container may have: far above what training needs."""
    read_only: bool = False
    """Whether runs can write nowhere but to /tmp, their own folder and the caches."""
    deterministic: bool = False
    """Whether the frameworks take only what gives the same numbers twice, which can be slower."""
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By project, values for its parameters instead of its MLproject's defaults: {sklearn: {seed: 3}}."""


@dataclass(frozen=True)
class Workspace:
    """Where things lie in a workspace. No folder is made by asking for it."""

    root: Path
    settings: Settings
    server_asked_for: str | None = field(default=None, repr=False)
    """The tracking server that the command line names, for this command alone; perhaps with a password."""

    @property
    def projects(self) -> Path:
        """One folder per MLflow project."""
        return self.root / "train_code"

    @property
    def images(self) -> Path:
        """The workspace's own images, besides those that trainer brings (`spec.shared`)."""
        return self.root / "trainer_images"

    @property
    def data(self) -> Path:
        """Datasets; mounted read-only into every run."""
        return self.root / "data"

    @property
    def secrets_file(self) -> Path:
        """The one file that holds secrets."""
        return self.root / "secrets.env"

    @property
    def store(self) -> Path:
        """What the workspace's own tracking server keeps: SQLite database and artifacts."""
        return self.root / "mlruns"

    @property
    def state(self) -> Path:
        """What trainer keeps for itself: locks, logs, local environments, records of live runs."""
        return self.root / ".trainer"

    @property
    def identity(self) -> str:
        """16 hex digits by which servers, containers and images are known to be this workspace's."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:16]


def find(start: Path | None = None) -> Workspace:
    """The workspace that `start` (or $TRAINER_WORKSPACE, or the current folder) lies in.

    Raises `InvalidInput` where there is none, or where its trainer.yaml is invalid.
    """
    start = (start or Path(os.environ.get(VARIABLE) or Path.cwd())).resolve()
    for folder in (start, *start.parents):
        if os.path.lexists(folder / SETTINGS_FILE):
            return Workspace(folder, _read_settings(folder / SETTINGS_FILE))
    raise InvalidInput(
        f"{start} is not in a workspace: neither it nor a folder above it has a {SETTINGS_FILE}.",
        "Go into your workspace, name it (trainer --workspace DIR …), or make one: trainer init",
    )


def set_tracking_uri(workspace: Workspace, uri: str) -> None:
    """Write the tracking server into trainer.yaml; every other line stays as it is.

    Raises `FileError` (as `OSError` of the file) where it cannot be written.
    """
    path = workspace.root / SETTINGS_FILE
    before = path.read_text(encoding="utf-8")
    line = f"tracking_uri: {uri}"
    after, count = re.subn(r"^tracking_uri:.*$", lambda _: line, before, count=1, flags=re.MULTILINE)
    if not count:  # as a new workspace has it
        after, count = re.subn(r"^# tracking_uri:[ ]*$", lambda _: line, before, count=1, flags=re.MULTILINE)
    if not count:
        after = f"{before}{'' if before.endswith(chr(10)) or not before else chr(10)}{line}\n"
    atomic_files.write(path.resolve(), after.encode())


def _read_settings(path: Path) -> Settings:
    document = yaml_file.read(path) or {}
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} does not hold settings.", "Write one `name: value` a line.")
    types: dict[str, type] = {"int": int, "bool": bool, "Mapping[str, Mapping[str, str]]": dict}
    expected = {field.name: types.get(str(field.type), str) for field in fields(Settings)}
    for name, value in document.items():
        if name not in expected:
            near = difflib.get_close_matches(str(name), expected, n=1)
            raise InvalidInput(
                f"{path} has an unknown setting: {name}",
                did_you_mean(near[0]) if near else f"The settings are {', '.join(expected)}.",
            )
        if not isinstance(value, expected[name]) or isinstance(value, bool) != (expected[name] is bool):
            raise InvalidInput(
                f"{path}: {name} is {value!r}, which is not of type {expected[name].__name__}.",
                "Correct the value, or remove the line for the default.",
            )
    parameters = {
        yaml_file.name(path, "a project", project): _parameters(path, str(project), values)
        for project, values in document.pop("parameters", {}).items()
    }
    for name, allowed in RANGES.items():
        if name in document and document[name] not in allowed:
            hint = f"Use a number from {allowed[0]} to {allowed[-1]}."
            raise InvalidInput(f"{path}: {name} is {document[name]}.", hint)
    if not re.fullmatch(SIZE, document.get("shm_size", Settings.shm_size)):
        raise InvalidInput(
            f"{path}: shm_size is {document['shm_size']}.", "Use a number and k, m or g: 512m, 8g."
        )
    image_reference.check(document.get("base_image", DEFAULT_BASE_IMAGE), f"{path}: base_image")
    return Settings(**document, parameters=parameters)


def _parameters(path: Path, project: str, values: object) -> dict[str, str]:
    if not isinstance(values, dict) or any(isinstance(value, dict | list) for value in values.values()):
        raise InvalidInput(
            f"{path}: the parameters of {project} are invalid.",
            "Write `parameters: {PROJECT: {NAME: VALUE}}`.",
        )
    return {
        yaml_file.name(path, f"a parameter of {project}", name): str(value) for name, value in values.items()
    }
