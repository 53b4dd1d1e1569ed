"""The workspace: a folder with a trainer.yaml, and where everything in it lies."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from trainer.errors import BadInput

SETTINGS_FILE = "trainer.yaml"
VARIABLE = "TRAINER_WORKSPACE"
DEFAULT_BASE_IMAGE = "python:3.11-slim-bookworm"


@dataclass(frozen=True)
class Settings:
    """What trainer.yaml may say. Nothing here is a secret: the file is committed."""

    base_image: str = DEFAULT_BASE_IMAGE
    tracking_uri: str | None = None
    server_port: int = 5000
    gpu_free_gb: int = 2
    """A GPU with less memory free than this is in use by somebody else: a run on it is refused."""


@dataclass(frozen=True)
class Workspace:
    """Where things lie in a workspace. No folder is made by asking for it."""

    root: Path
    settings: Settings

    @property
    def projects(self) -> Path:
        """One folder per MLflow project."""
        return self.root / "train_code"

    @property
    def images(self) -> Path:
        """One folder per trainer image, beside the shared Dockerfile."""
        return self.root / "trainer_images"

    @property
    def data(self) -> Path:
        """Data sets; mounted read-only into every run."""
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


def find(start: Path | None = None) -> Workspace:
    """The workspace that `start` (or $TRAINER_WORKSPACE, or the current folder) lies in.

    Raises `BadInput` where there is none, or where its trainer.yaml is not understood.
    """
    start = (start or Path(os.environ.get(VARIABLE) or Path.cwd())).resolve()
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file():
            return Workspace(folder, _read_settings(folder / SETTINGS_FILE))
    raise BadInput(
        f"{start} is not in a workspace: neither it nor a folder above it has a {SETTINGS_FILE}.",
        "Go into your workspace, or name it: trainer --workspace DIR …",
    )


def _read_settings(path: Path) -> Settings:
    try:
        said = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path} is not valid YAML: {_where(problem)}", "Mend the line named above.") from None
    if not isinstance(said, dict):
        raise BadInput(f"{path} does not hold settings.", "Write one `name: value` a line.")
    expected = {field.name: (int if "int" in str(field.type) else str) for field in fields(Settings)}
    for name, value in said.items():
        if name not in expected:
            near = difflib.get_close_matches(str(name), expected, n=1)
            raise BadInput(
                f"{path} has an unknown setting: {name}",
                f"Did you mean {near[0]}?" if near else f"The settings are {', '.join(expected)}.",
            )
        if not isinstance(value, expected[name]) or isinstance(value, bool):
            raise BadInput(
                f"{path}: {name} is {value!r}, which is no {expected[name].__name__}.",
                "Mend the value, or remove the line for the default.",
            )
    if not 0 < said.get("server_port", 1) < 65536:
        raise BadInput(f"{path}: server_port is {said['server_port']}.", "Give a number from 1 to 65535.")
    return Settings(**said)


def _where(problem: Exception) -> str:
    mark = getattr(problem, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else str(problem)
