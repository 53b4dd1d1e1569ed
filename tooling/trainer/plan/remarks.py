"""What a user should know about a run before it starts, though nothing is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from trainer.plan.target import Target
from trainer.projects.mlproject import PROJECT_FILE, EntryPoint, Project
from trainer.projects.mounts import Mount
from trainer.projects.parameters import Parameter

# A value of these types stays text; the others are checked, or mounted.
_NOT_TEXT = ("int", "float", "path", "uri")


def of(
    project: Project,
    entry_point: EntryPoint,
    values: Mapping[str, str],
    mounts: tuple[Mount, ...],
    target: Target,
    fallback: str | None,
) -> tuple[str, ...]:
    """All remarks; `fallback` is the image that it runs in if none is named."""
    image = f"{project.name} names no environment: it runs in {fallback}. --image chooses another."
    return (*([image] if fallback else []), *_outside_files(project, entry_point, values, mounts, target))


def _outside_files(
    project: Project,
    entry_point: EntryPoint,
    values: Mapping[str, str],
    mounts: tuple[Mount, ...],
    target: Target,
) -> Iterator[str]:
    """A parameter that is text and names a file of this machine, which the run cannot see."""
    for parameter in entry_point.parameters:
        value = values[parameter.name]
        if parameter.type in _NOT_TEXT or parameter.dataset or not _is_hidden(value, project.folder, mounts):
            continue
        if not target.isolated and Path(value).is_absolute():
            continue
        yield (
            f"{parameter.option} is {value}, which is outside of the project: the run cannot see it.\n"
            f"Declare it in the {PROJECT_FILE} to have it mounted: {_as_path(parameter)}"
        )


def _is_hidden(value: str, folder: Path, mounts: tuple[Mount, ...]) -> bool:
    if "/" not in value or "\0" in value or "\n" in value:
        return False
    path = Path(os.path.normpath(folder / value))
    try:
        if not path.exists() or path.is_relative_to(folder) or folder.is_relative_to(path):
            return False
    except OSError:  # as of a name that is too long
        return False
    # Containers have folders of these names, too.
    of_the_system = path.is_relative_to("/dev") or path in (Path("/tmp"), Path("/var/tmp"))  # noqa: S108
    return not (of_the_system or any(path.is_relative_to(mount.target) for mount in mounts))


def _as_path(parameter: Parameter) -> str:
    default = f", default: {parameter.default}" if parameter.default is not None else ""
    return f"{parameter.name}: {{type: path{default}}}"
