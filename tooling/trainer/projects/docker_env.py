"""What an MLproject says under `docker_env`: image, volumes and environment, in MLflow's forms."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from trainkit import mlflow_in_run, run_environment

from trainer.errors import InvalidInput
from trainer.projects.mounts import Mount
from trainer.projects.parameters import nearest

_KEYS = ("image", "volumes", "environment")
# A run has its own values of these; a project that copies them from the host gets the run's.
_OF_THE_RUN = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")
_RESERVED = (*_OF_THE_RUN, "HOME", "USER", run_environment.SPOOL, mlflow_in_run.VARIABLE)
# What is in a container by trainer's own doing. /data is not among them: there a project's volume goes first.
_TAKEN = (run_environment.TRAINER, run_environment.CACHE, run_environment.INPUTS)
# Docker's engine takes these on Linux and does nothing with them.
_HINTS = ("cached", "delegated", "consistent")
# A volume: its source, its target, its options. A variable in the target is found, and refused.
_FORM = re.compile(r"((?:[A-Za-z]:[\\/])?.+?):([/$`%][^:]*)(?::([^:]*))?")
_OF_THE_FOLDER = ("$(pwd)", "`pwd`", "${PWD}", "$PWD", "%cd%")
_OF_THE_HOME = ("${HOME}", "$HOME", "%USERPROFILE%")
_WORDS = re.compile(
    "|".join(
        re.escape(word) + (r"(?!\w)" if word[-1].isalpha() else "")
        for word in (*_OF_THE_FOLDER, *_OF_THE_HOME)
    )
    + r"|\$\{(\w+)\}|\$(\w+)|[$`%][\w{(]*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class DockerEnv:
    """`docker_env`; `volumes` as they are written, for the host may not have their folders."""

    image: str
    volumes: tuple[str, ...] = ()
    environment: tuple[tuple[str, str | None], ...] = ()
    """Variables: with a value, or None for "take it from the host"."""


def read(path: Path, section: object) -> DockerEnv:
    """Read `docker_env` of the MLproject at `path`. Raises `InvalidInput` for anything invalid."""
    if not isinstance(section, dict):
        raise InvalidInput(
            f"{path}: docker_env is not a mapping.", "Write `docker_env:` and `image: NAME` below it."
        )
    for key in section:
        if key not in _KEYS:
            raise InvalidInput(
                f"{path}: docker_env has the unknown key {key}.", nearest(str(key), _KEYS, "Its keys are")
            )
    image, volumes = section.get("image"), section.get("volumes") or []
    if not isinstance(image, str) or not image:
        raise InvalidInput(
            f"{path} names no image.", "Add `docker_env: {image: trainer/NAME}`; `trainer images` lists them."
        )
    if not isinstance(volumes, list) or not all(isinstance(volume, str) for volume in volumes):
        raise InvalidInput(
            f"{path}: docker_env.volumes is invalid.", 'Write ["/on/the/host:/in/the/container"].'
        )
    return DockerEnv(
        image, tuple(cast(list[str], volumes)), _environment(path, section.get("environment") or [])
    )


def _environment(path: Path, items: object) -> tuple[tuple[str, str | None], ...]:
    """MLflow's two forms: `NAME` is copied from the host, `[NAME, value]` is set."""
    variables: list[tuple[str, str | None]] = []
    for item in items if isinstance(items, list) else [None]:
        match item:
            case str():
                variables.append((item, None))
            case [str(name), str() | int() | float() as value]:
                variables.append((name, str(value)))
            case _:
                raise InvalidInput(
                    f"{path}: docker_env.environment is invalid.",
                    'Write [NAME_TO_COPY, ["NAME", "value"]].',
                )
    for name, item_value in variables:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise InvalidInput(
                f"{path}: {name!r} cannot be a variable's name.",
                "Use letters, digits and underscores, a letter first.",
            )
        if name in _RESERVED and not (item_value is None and name in _OF_THE_RUN):
            raise InvalidInput(
                f"{path}: docker_env.environment has {name}, which a run gets from trainer.",
                "Leave it out. The tracking server is chosen with --tracking-uri.",
            )
    return tuple(variable for variable in variables if variable[0] not in _OF_THE_RUN)


def mounts(project: str, folder: Path, volumes: tuple[str, ...]) -> tuple[Mount, ...]:
    """The volumes as a container gets them; `folder` is the project's, which `$(pwd)` and `%cd%` stand for.

    Raises `InvalidInput`, naming the volume, for what `docker run -v` would not take, for a folder that is
    not on this host (docker would make an empty one, owned by root), and for a place that trainer uses
    itself.
    """
    volume_mounts = tuple(_mount(project, folder, volume) for volume in volumes)
    targets = [mount.target for mount in volume_mounts]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidInput(
                f"{project} mounts two volumes at {target}.", "Keep one of docker_env.volumes."
            )
    return volume_mounts


def check_again(volumes: tuple[str, ...], run: str) -> None:
    """Raises `InvalidInput` where the run had what is in its project's folder: it is not with the code."""
    for volume in volumes:
        if re.match(r"\$\(pwd\)|`pwd`|\$\{?PWD\b|%cd%", volume, re.IGNORECASE):
            raise InvalidInput(
                f"The run {run} had the volume {volume}, which was in its project's folder at the time.",
                "Start a new run from that folder: trainer run FOLDER",
            )


def variables(volumes: tuple[str, ...]) -> tuple[str, ...]:
    """The variables of this process whose values are in the volumes; the home and the folder are none."""
    sources = (parts[1] for volume in volumes if (parts := _FORM.fullmatch(volume)))
    names = (name for source in sources for name in _names(source))
    return tuple(dict.fromkeys(names))


def _mount(project: str, folder: Path, volume: str) -> Mount:
    where = f"{project}: the volume {volume}"
    # Only the source is expanded: a run sees the target, and with it the value.
    parts = _FORM.fullmatch(volume)
    if not parts:
        raise InvalidInput(f"{where} is invalid.", "Write /on/the/host:/in/the/container, or …:ro.")
    if re.search(r"[$`%]", parts[2]):
        raise InvalidInput(
            f"{where} has a variable in its place in the container.",
            "Write that place as a path: variables are expanded before the colon only.",
        )
    source, target = _expanded(where, folder, parts[1]), os.path.normpath(parts[2])
    # A drive's letter, as on Windows, is no name of a volume.
    if ":" in re.sub(r"^[A-Za-z]:(?=[\\/])", "", source):
        raise InvalidInput(f"{where} is invalid.", "Write /on/the/host:/in/the/container, or …:ro.")
    options = set(filter(None, (parts[3] or "").split(","))) - set(_HINTS)
    if unknown := sorted(options - {"ro", "rw"}):
        raise InvalidInput(
            f"{where} has the option {unknown[0]}, which is not supported.", "Remove it, or use ro."
        )
    if target == "/" or any(f"{target}/".startswith(f"{taken}/") for taken in _TAKEN):
        raise InvalidInput(
            f"{where} is to be at {target}, where trainer has something of its own.",
            "Choose another place in the container.",
        )
    is_named = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]+", source) is not None
    if is_named:
        return Mount(source, target, read_only="ro" in options, kind="volume")
    # The value of a variable may be a secret, which no message shows.
    shown = parts[1] if _names(parts[1]) else source
    if not Path(source).is_absolute():
        raise InvalidInput(
            f"{where} is a relative path.", f"Write $(pwd)/{shown.removeprefix('./')}:{parts[2]}"
        )
    if not Path(source).exists():
        raise InvalidInput(
            f"{where} is of {shown}, which is not there.", "Make it, or correct the MLproject."
        )
    return Mount(os.path.normpath(source), target, read_only="ro" in options)


def _names(source: str) -> list[str]:
    matches = _WORDS.finditer(source)
    return [name for word in matches if not _is_known(word[0]) and (name := word[1] or word[2])]


def _is_known(word: str) -> bool:
    return word.lower() in (variable.lower() for variable in (*_OF_THE_FOLDER, *_OF_THE_HOME))


def _expanded(where: str, folder: Path, source: str) -> str:
    """What a shell in the project's folder makes of it, and that of Windows, for the words that are usual.

    Other variables are those of this process, which `docker run` of MLflow has too.
    """
    folders: Mapping[str, str] = {
        **dict.fromkeys((word.lower() for word in _OF_THE_FOLDER), str(folder)),
        **dict.fromkeys((word.lower() for word in _OF_THE_HOME), str(Path.home())),
    }

    def value(found: re.Match[str]) -> str:
        if (folder_path := folders.get(found[0].lower())) is not None:
            return folder_path
        name = found[1] or found[2]
        if not name:
            raise InvalidInput(
                f"{where} needs a shell for {found[0]}; it is read without one.",
                "Write the path, or $(pwd), %cd%, $HOME or ~ at its beginning.",
            )
        if not os.environ.get(name):
            raise InvalidInput(
                f"{where} needs the variable {name}, which is not set.",
                f"export {name}=/a/folder, or write the path.",
            )
        return os.environ[name]

    return _WORDS.sub(value, re.sub(r"^~(?=/|$)", lambda _: str(Path.home()), source))
