"""The values of a run's parameters: what is said, else trainer.yaml's, else the default; and their check."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from trainkit.errors import did_you_mean

from trainer.errors import InvalidInput
from trainer.projects.mlproject import EntryPoint, Project, project_file
from trainer.projects.parameters import Parameter, check_text, check_value, is_elsewhere
from trainer.workspace.settings import SETTINGS_FILE, Workspace

Origin: TypeAlias = Literal["command line", "settings", "default"]
"""Where a parameter's value comes from."""


def of(
    workspace: Workspace,
    project: Project,
    entry_point: EntryPoint,
    texts: Mapping[str, str],
    *,
    with_settings: bool = True,
) -> tuple[dict[str, str], dict[str, Origin]]:
    """The value of every parameter, in declared order, and its origin.

    Raises `InvalidInput` as `check` does.
    """
    values_named = named(project, entry_point, texts)
    by_default = {
        name for name, value in values_named.items() if _is_default(entry_point.parameter(name), value)
    }
    values_given = {name: value for name, value in values_named.items() if name not in by_default}
    # Those of the entry point: the project's others may have parameters that this one has not.
    settings = {
        name: str(workspace.root / value) if parameter.type == "path" and not is_elsewhere(value) else value
        for name, value in workspace.settings.parameters.get(project.name, {}).items()
        if with_settings and name not in by_default and (parameter := entry_point.parameter(name))
    }
    with errors_naming(workspace, "settings"):
        for parameter in entry_point.parameters:
            if parameter.name in settings.keys() - values_given.keys():
                check_value(parameter, settings[parameter.name])
    values = check(project, entry_point, {**settings, **values_given})
    origins: dict[str, Origin] = {
        name: "command line" if name in values_given else "settings" if name in settings else "default"
        for name in values
    }
    return values, origins


def _is_default(parameter: Parameter | None, value: str) -> bool:
    """Whether the value of a path is the project's default, typed as its help shows it."""
    return (
        parameter is not None
        and parameter.type == "path"
        and value == parameter.default
        and not is_elsewhere(value)
        and not Path(value).exists()
    )


@contextlib.contextmanager
def errors_naming(workspace: Workspace, origin: Origin | None) -> Iterator[None]:
    """Within: what is wrong with a value of trainer.yaml is said to be there."""
    try:
        yield
    except InvalidInput as error:
        if origin != "settings":
            raise
        raise InvalidInput(f"{workspace.root / SETTINGS_FILE}: {error.message}", error.hint) from None


def check(project: Project, entry_point: EntryPoint, given: Mapping[str, str]) -> dict[str, str]:
    """The value of every declared parameter, in declared order: the given one, else the default.

    Raises `InvalidInput` for an unknown name (with the nearest), a missing value, or a value of the wrong
    type.
    """
    given = named(project, entry_point, given)
    extra = {name: value for name, value in given.items() if entry_point.parameter(name) is None}
    values: dict[str, str] = {}
    for parameter in entry_point.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is None:
            raise InvalidInput(
                f"{project.name} needs {parameter.option}: it has no default.",
                f"Add {parameter.option} and a value of type {parameter.type}, or -P {parameter.name}=VALUE.",
            )
        if parameter.type == "path" and not is_elsewhere(value):
            value = value.removeprefix("file://")
            # As given: beside the user; as a default: beside the MLproject that declares it.
            value = str(((Path.cwd() if parameter.name in given else project.folder) / value).resolve())
        _check_value(project, parameter, value, is_given=parameter.name in given)
        values[parameter.name] = value
    for name, value in (values | extra).items():
        check_text(name, value)
    return values | extra


def _check_value(project: Project, parameter: Parameter, value: str, *, is_given: bool) -> None:
    """A default is checked when it is used: a run that is given another value needs none."""
    try:
        check_value(parameter if is_given else replace(parameter, default=None), value)
    except InvalidInput as error:
        if is_given or parameter.type == "path":
            raise
        where = project_file(project.folder)
        raise InvalidInput(f"{where}: the default of {error.message}", error.hint) from None


def named(project: Project, entry_point: EntryPoint, given: Mapping[str, str]) -> dict[str, str]:
    """The values by the names that are declared: `batch-size` is `batch_size`, as on the command line.

    Raises `InvalidInput` for a name that is none, with the nearest, unless the entry point takes any.
    """
    names = {parameter.option.removeprefix("--"): parameter.name for parameter in entry_point.parameters}
    for name in given:
        if name.replace("_", "-") not in names and not entry_point.takes_any:
            raise unknown_parameter(project, entry_point, name)
    values: dict[str, str] = {}
    for name_given, value in given.items():
        name = names.get(name_given.replace("_", "-"), name_given)
        if name in values:
            raise duplicate_parameter(name)
        values[name] = value
    return values


def duplicate_parameter(name: str) -> InvalidInput:
    """The error for a parameter with more values than one."""
    return InvalidInput(f"The parameter {name} is given twice.", "Pass it once, as an option or with -P.")


def unknown_parameter(
    project: Project, entry_point: EntryPoint, name: str, also: Iterable[str] = ()
) -> InvalidInput:
    """The error for a parameter that the entry point does not have; `also` are names it may have meant."""
    declared = [parameter.option for parameter in entry_point.parameters]
    option = "--" + name.lstrip("-").replace("_", "-")
    if entry_point.takes_any:
        hint = f"The script {entry_point.name} gets undeclared parameters with -P {name.lstrip('-')}=VALUE"
        return InvalidInput(f"{project.name} declares no parameter {option}.", hint)
    near = difflib.get_close_matches(option, [*declared, *also], n=1, cutoff=0.7)
    otherwise = (
        f"Those of its entry point {entry_point.name} are {', '.join(declared)}."
        if declared
        else f"Its entry point {entry_point.name} has no parameters."
    )
    return InvalidInput(
        f"{project.name} has no parameter {option}.",
        did_you_mean(near[0]) if near else otherwise,
    )
