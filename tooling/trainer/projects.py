"""MLproject files: entry points, typed parameters, and the command they make.

The format is MLflow's (docs: "MLflow Projects"). A parameter may also say `help`, `choices`, `minimum`,
`maximum` and `dataset`; MLflow itself ignores these keys, so the same file still runs with `mlflow run`.
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from trainer.errors import BadInput
from trainer.parameters import TYPES, Parameter, check_value, nearest

PROJECT_FILE = "MLproject"


@dataclass(frozen=True)
class EntryPoint:
    """A named command with `{parameter}` fields."""

    name: str
    command: str
    parameters: tuple[Parameter, ...] = ()

    def parameter(self, name: str) -> Parameter | None:
        """The declared parameter of that name, or None."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


@dataclass(frozen=True)
class Project:
    """A folder with an MLproject file."""

    name: str
    folder: Path
    image: str
    entry_points: tuple[EntryPoint, ...]
    environment: tuple[tuple[str, str | None], ...] = ()
    """Variables of `docker_env.environment`: with a value, or None for "take it from the host"."""

    def entry_point(self, name: str) -> EntryPoint:
        """Raises `BadInput` with the nearest name where there is none of that name."""
        for entry_point in self.entry_points:
            if entry_point.name == name:
                return entry_point
        names = [entry_point.name for entry_point in self.entry_points]
        raise BadInput(
            f"{self.name} has no entry point {name}.", nearest(name, names, "Its entry points are")
        )


def load(folder: Path) -> Project:
    """Read `folder`/MLproject. Raises `BadInput`, naming the file, for anything not understood."""
    path = folder / PROJECT_FILE
    try:
        said = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise BadInput(
            f"{folder} is no MLflow project: it has no file {PROJECT_FILE}.",
            "Name a folder that has one; `trainer run --help` lists the projects of this workspace.",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadInput(f"{path}{where}: this is not valid YAML.", "Mend the line.") from None
    if not isinstance(said, dict):
        raise BadInput(f"{path} is empty.", "It needs `name`, `docker_env` and `entry_points`.")
    docker_env = _mapping(path, said, "docker_env")
    image = docker_env.get("image")
    if not isinstance(image, str):
        raise BadInput(
            f"{path} names no image.", "Add `docker_env: {image: trainer/NAME}`; `trainer images` lists them."
        )
    if "volumes" in docker_env:
        raise BadInput(
            f"{path}: docker_env.volumes is not supported.",
            "Data in the workspace's data/ folder is mounted at /data without being asked.",
        )
    entry_points = tuple(
        _entry_point(path, str(name), body) for name, body in _mapping(path, said, "entry_points").items()
    )
    if not entry_points:
        raise BadInput(f"{path} has no entry points.", "Add `entry_points: {main: {command: …}}`.")
    return Project(
        name=str(said.get("name") or folder.name),
        folder=folder,
        image=image,
        entry_points=entry_points,
        environment=_environment(path, docker_env.get("environment") or []),
    )


def _mapping(path: Path, said: Mapping[object, object], key: str) -> Mapping[object, object]:
    value = said.get(key) or {}
    if not isinstance(value, dict):
        raise BadInput(f"{path}: {key} is no mapping.", f"Write `{key}:` and `name: value` lines below it.")
    return cast(Mapping[object, object], value)


def _entry_point(path: Path, name: str, body: object) -> EntryPoint:
    command = body.get("command") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(command, str) or not command.strip():
        raise BadInput(f"{path}: entry point {name} has no command.", "Add `command: python train.py …`.")
    parameters = tuple(
        _parameter(path, str(key), value) for key, value in _mapping(path, body, "parameters").items()
    )
    entry_point = EntryPoint(name, command, parameters)
    split_command(path, entry_point)
    return entry_point


def _parameter(path: Path, name: str, body: object) -> Parameter:
    said = {"type": body} if isinstance(body, str) else body
    if not isinstance(said, dict):
        raise BadInput(f"{path}: parameter {name} is not understood.", "Write `{type: float, default: 0.1}`.")
    choices = said.get("choices") or []
    bounds = [said.get("minimum"), said.get("maximum")]
    if not isinstance(choices, list) or not all(bound is None or _is_number(bound) for bound in bounds):
        raise BadInput(
            f"{path}: the choices or bounds of parameter {name} are not understood.",
            "Write `choices: [a, b]`, `minimum: 0`, `maximum: 1`.",
        )
    parameter = Parameter(
        name=name,
        type=str(said.get("type", "string")),
        default=None if said.get("default") is None else str(said["default"]),
        help=str(said.get("help", "")),
        choices=tuple(map(str, choices)),
        minimum=bounds[0],
        maximum=bounds[1],
        dataset=said.get("dataset") is True,
    )
    if parameter.type not in TYPES:
        raise BadInput(
            f"{path}: parameter {name} has the unknown type {parameter.type}.",
            nearest(parameter.type, TYPES, "The types are"),
        )
    if parameter.default is not None and parameter.type != "path":
        try:
            check_value(parameter, parameter.default)
        except BadInput as problem:
            raise BadInput(f"{path}: the default of {problem.message}", problem.hint) from None
    return parameter


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _environment(path: Path, items: object) -> tuple[tuple[str, str | None], ...]:
    """MLflow's two forms: `NAME` is copied from the host, `[NAME, value]` is set."""
    variables: list[tuple[str, str | None]] = []
    for item in items if isinstance(items, list) else [None]:
        match item:
            case str():
                variables.append((item, None))
            case [str(name), value]:
                variables.append((name, str(value)))
            case _:
                raise BadInput(
                    f"{path}: docker_env.environment is not understood.",
                    'Write [NAME_TO_COPY, ["NAME", "value"]].',
                )
    for name, _ in variables:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise BadInput(
                f"{path}: {name!r} cannot be a variable's name.",
                "Use letters, digits and underscores, a letter first.",
            )
    return tuple(variables)


def check(project: Project, entry_point: EntryPoint, given: Mapping[str, str]) -> dict[str, str]:
    """The value of every declared parameter, in declared order: the given one, else the default.

    Raises `BadInput` for an unknown name (with the nearest), a missing value, or a value of the wrong type.
    """
    given = named(project, entry_point, given)
    values: dict[str, str] = {}
    for parameter in entry_point.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is None:
            raise BadInput(
                f"{project.name} needs {parameter.option}: it has no default.",
                f"Add {parameter.option} and a value of type {parameter.type}.",
            )
        if parameter.type == "path":
            # As given: beside the user; as a default: beside the MLproject that declares it.
            value = str(((Path.cwd() if parameter.name in given else project.folder) / value).resolve())
        check_value(parameter, value)
        values[parameter.name] = value
    return values


def named(project: Project, entry_point: EntryPoint, given: Mapping[str, str]) -> dict[str, str]:
    """The values by the names that are declared: `batch-size` is `batch_size`, as on the command line.

    Raises `BadInput` for a name that is none, with the nearest.
    """
    names = {parameter.option.removeprefix("--"): parameter.name for parameter in entry_point.parameters}
    for name in given:
        if name.replace("_", "-") not in names:
            raise unknown_parameter(project, entry_point, name)
    return {names[name.replace("_", "-")]: value for name, value in given.items()}


def unknown_parameter(
    project: Project, entry_point: EntryPoint, name: str, also: Iterable[str] = ()
) -> BadInput:
    """The error for a parameter that the entry point does not have; `also` are names it may have meant."""
    options = [*(parameter.option for parameter in entry_point.parameters), *also]
    option = "--" + name.lstrip("-").replace("_", "-")
    return BadInput(
        f"{project.name} has no parameter {option}.",
        nearest(option, options, "Its parameters are") if options else "It takes no parameters.",
    )


def command_line(entry_point: EntryPoint, values: Mapping[str, str]) -> tuple[str, ...]:
    """The argument vector. A value stays one argument whatever characters it has: no shell reads it."""
    return tuple(word.format(**values) for word in split_command(None, entry_point))


def split_command(path: Path | None, entry_point: EntryPoint) -> list[str]:
    """The command's words with their `{parameter}` fields unfilled.

    Raises `BadInput` where the command needs a shell, or has a field that is no parameter.
    """
    where = f"{path}: the command of {entry_point.name}" if path else f"The command of {entry_point.name}"
    command = entry_point.command.replace("\\\n", " ").strip()
    try:
        words = shlex.split(command)
        parsed = [field for word in words for field in string.Formatter().parse(word)]
    except ValueError as problem:
        raise BadInput(f"{where} is not understood: {problem}.", "Balance its quotes and braces.") from None
    # What quotes hide from a shell is no operator; only single ones hide a variable.
    if operator := re.search(r"[<>|&;()]+|\n", re.sub(_SINGLE + "|" + _DOUBLE + "|" + _ESCAPED, "", command)):
        raise BadInput(
            f"{where} needs a shell for {operator.group()!r}; commands are run without one.",
            "Put the steps into a script and run that, or write bash -c '…'.",
        )
    if re.search(r"[$`]", re.sub(_SINGLE + "|" + _ESCAPED, "", command)):
        raise BadInput(
            f"{where} needs a shell for its $ or `; commands are run without one.",
            "Declare a parameter for the value, or write bash -c '…'.",
        )
    known = sorted(parameter.name for parameter in entry_point.parameters)
    for _, name, form, conversion in parsed:
        if name is not None and (name not in known or form or conversion):
            field = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise BadInput(
                f"{where} uses {{{field}}}, which is no parameter of it.",
                nearest(name, known, "Its parameters are") if known else "Declare it.",
            )
    return words


_SINGLE, _DOUBLE, _ESCAPED = r"'[^']*'", r'"(?:\\.|[^"\\])*"', r"\\."
