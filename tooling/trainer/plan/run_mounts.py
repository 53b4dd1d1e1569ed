"""Where a run finds what is on the host: mounts, the values of its parameters, the names of its folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainkit.run_environment import CACHE_DIR, DATA, DATA_DIR, INPUTS

from trainer.errors import InvalidInput
from trainer.plan import downloads
from trainer.plan.target import Target
from trainer.projects.mlproject import EntryPoint
from trainer.projects.mounts import Mount, linked_data
from trainer.projects.parameters import is_elsewhere
from trainer.workspace.settings import Workspace


def of(
    workspace: Workspace,
    target: Target,
    entry_point: EntryPoint,
    values: Mapping[str, str],
    volumes: tuple[Mount, ...],
    cache: Mount | None,
) -> tuple[tuple[Mount, ...], dict[str, str], dict[str, str]]:
    """Mounts, parameter values as the run sees them, and the variables that name its folders."""
    if not target.isolated:
        if volumes:
            raise InvalidInput(
                f"docker_env.volumes need a container: the {target.name} backend mounts nothing.",
                "Use the docker backend, or take them out of the MLproject.",
            )
        return (), dict(values), _folders(str(workspace.data), str(workspace.state / "cache"))
    mounts = [cache] if cache else []
    own_data = [volume for volume in volumes if volume.target == DATA or volume.target.startswith(f"{DATA}/")]
    if workspace.data.is_dir() and not own_data:
        needed = any(
            parameter.names_data(value := values[parameter.name]) and not is_elsewhere(value)
            for parameter in entry_point.parameters
        )
        mounts.append(Mount(str(workspace.data), DATA, optional=not needed))
    values_seen = dict(values)
    for parameter in entry_point.parameters:
        if parameter.names_data(values[parameter.name]):
            if own_data:
                raise InvalidInput(
                    f"The volume at {own_data[0].target} hides the dataset of {parameter.option}.",
                    "Mount it elsewhere, or give its place in a parameter of type string.",
                )
            mounts += linked_data(workspace.data, values[parameter.name])
        if parameter.type != "path":
            continue
        if is_elsewhere(values[parameter.name]):
            values_seen[parameter.name] = (
                f"{INPUTS}/{parameter.name}/{downloads.name(values[parameter.name])}"
            )
        else:
            source = Path(values[parameter.name])
            values_seen[parameter.name] = f"{INPUTS}/{parameter.name}/{source.name}"
            mounts.append(Mount(str(source), values_seen[parameter.name]))
    return (*mounts, *volumes), values_seen, _folders(DATA, cache.target if cache else None)


def _folders(data: str, cache: str | None) -> dict[str, str]:
    where = {DATA_DIR: data}
    return where | {CACHE_DIR: cache, "MPLCONFIGDIR": f"{cache}/matplotlib"} if cache else where
