"""MLproject files: entry points, typed parameters, and the command they make.

The format is MLflow's (docs: "MLflow Projects"; what of it is honoured: docs/projects.md). A parameter may
also say `help`, `choices`, `minimum`, `maximum`, `dataset`, `column_of`, `target_as` and `learns`; MLflow
itself ignores these keys, so the same file still runs with `mlflow run`. As there, a folder without an
MLproject is a project too: its scripts are its entry points.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from trainer import yaml_file
from trainer.errors import InvalidInput
from trainer.projects import docker_env
from trainer.projects import shell_command as command
from trainer.projects.parameters import CLASSES, LEARNT, QUANTITY, Parameter, nearest
from trainer.source import snapshot

PROJECT_FILE = "MLproject"
# What a project says that it runs in: one of these, at most.
_ENVIRONMENTS = ("docker_env", "python_env", "conda_env", "databricks_spark_job")
_ENVIRONMENT_FILES = {"python_env": "python_env.yaml", "conda_env": "conda.yaml"}
_SCRIPTS = {
    ".py": lambda name: f"python {shlex.quote(name)}",
    ".sh": lambda name: f"bash {shlex.quote(name)}",
    ".R": lambda name: f"Rscript -e {shlex.quote(f'mlflow::mlflow_source({_in_r(name)})')} --args",
}
# MLflow takes any word for a type, and what it does not know is text. These are usual.
_TYPE_NAMES = {"str": "string", "bool": "string", "boolean": "string", "integer": "int", "number": "float"}


@dataclass(frozen=True)
class EntryPoint:
    """A named command with `{parameter}` fields."""

    name: str
    command: str
    parameters: tuple[Parameter, ...] = ()
    takes_any: bool = False
    """Whether it gets undeclared parameters, as `--name value`: a script, run by its name."""
    problem: InvalidInput | None = field(default=None, repr=False)
    """What of it is invalid: it cannot be run, and the others can."""

    def parameter(self, name: str) -> Parameter | None:
        """The declared parameter of that name, or None."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


@dataclass(frozen=True)
class Project:
    """A folder with an MLproject file, or with scripts alone."""

    name: str
    folder: Path
    image: str | None
    """`docker_env.image`."""
    entry_points: tuple[EntryPoint, ...]
    environment: tuple[tuple[str, str | None], ...] = ()
    """Variables of `docker_env.environment`: with a value, or None for "take it from the host"."""
    volumes: tuple[str, ...] = ()
    """`docker_env.volumes`, as they are written."""
    python_env: Path | None = None
    """The file that its image is built from, where it names none; or `conda_env`."""
    conda_env: Path | None = None
    primary_metric: str | None = None
    """The metric that its runs are judged by; MLflow ignores the key."""

    def entry_point(self, name: str) -> EntryPoint:
        """A declared one, or a script of the folder.

        Raises `InvalidInput` with the nearest name, or for what of it is invalid.
        """
        for entry_point in self.entry_points:
            if entry_point.name == name:
                if entry_point.problem:
                    raise entry_point.problem
                return entry_point
        if script := _script(self.folder, name):
            return script
        otherwise = "Its entry points are" if self.entry_points else "Specify a script of it with -e:"
        names = self.entry_point_names
        hint = nearest(name, names, otherwise) if names else "Add `entry_points:` to its MLproject."
        raise InvalidInput(f"{self.name} has no entry point {name}.", hint)

    @property
    def entry_point_names(self) -> list[str]:
        """The declared ones; where there are none, the scripts at the top of the folder."""
        return [entry_point.name for entry_point in self.entry_points] or _scripts(self.folder)


def load(folder: Path) -> Project:
    """Read the project in `folder`. Raises `InvalidInput`, naming the file, for anything invalid.

    What is wrong with one of its entry points is raised when that is asked for.
    """
    path = project_file(folder)
    if path is None and not _scripts(folder):
        raise InvalidInput(
            f"{folder} is not an MLflow project: it has no file {PROJECT_FILE}, and no script.",
            "Specify a folder that has one; `trainer run --help` lists the projects of this workspace.",
        )
    document = _read(path) if path else {}
    path = path or folder / PROJECT_FILE
    named = [key for key in _ENVIRONMENTS if document.get(key)]
    if "databricks_spark_job" in named:
        raise InvalidInput(
            f"{path} is a Databricks job, which trainer cannot run.", "Run it with mlflow run."
        )
    if len(named) > 1:
        raise InvalidInput(f"{path} has both {named[0]} and {named[1]}.", "A project has one environment.")
    environment = docker_env.read(path, document["docker_env"]) if "docker_env" in named else None
    return Project(
        name=_text(path, "name", document.get("name") or folder.name),
        folder=folder,
        image=environment.image if environment else None,
        entry_points=tuple(
            _entry_point(path, name, body) for name, body in _mapping(path, document, "entry_points").items()
        ),
        environment=environment.environment if environment else (),
        volumes=environment.volumes if environment else (),
        primary_metric=_text(path, "primary_metric", document.get("primary_metric") or "") or None,
        **({} if environment else _environment_file(path, document)),
    )


def _text(path: Path, key: str, document: object) -> str:
    if isinstance(document, list | dict):
        raise InvalidInput(f"{path}: {key} is no text, but {document}.", f"Write one: `{key}: NAME`.")
    return str(document)


def project_file(folder: Path) -> Path | None:
    """The folder's MLproject; like MLflow, whatever letters of its name are capitals."""
    if not folder.is_dir():
        return None
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == "mlproject"), None)


def _read(path: Path) -> Mapping[object, object]:
    if path.is_symlink() and path.exists():
        snapshot.is_shared(
            path.parent, Path(path.name)
        )  # a stranger's project has us read nothing of this machine
    document = yaml_file.read(path)
    if not isinstance(document, dict):
        description = "is empty" if document is None else "is not a mapping"
        raise InvalidInput(
            f"{path} {description}.", "It needs `name:`, `docker_env:` and `entry_points:`, each on its line."
        )
    return document


def _environment_file(path: Path, document: Mapping[object, object]) -> dict[str, Path]:
    """The file that the MLproject names, else one of the usual name; MLflow's order."""
    for key in _ENVIRONMENT_FILES:
        if not document.get(key):
            continue
        file = path.parent / str(document[key])
        if not file.is_file():
            raise InvalidInput(
                f"{path}: {key} names {document[key]}, which is not there.", f"Add it, or correct {key}."
            )
        return {key: file}
    for key, name in _ENVIRONMENT_FILES.items():
        if (path.parent / name).is_file():
            return {key: path.parent / name}
    return {}


def _script(folder: Path, name: str) -> EntryPoint | None:
    script = (folder / name).resolve()
    start = _SCRIPTS.get(script.suffix)
    if start is None or not script.is_file() or not script.is_relative_to(folder.resolve()):
        return None
    return EntryPoint(name, start(name).replace("{", "{{").replace("}", "}}"), takes_any=True)


def _in_r(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _scripts(folder: Path) -> list[str]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in paths if path.suffix in _SCRIPTS and path.is_file())


def _mapping(path: Path, document: Mapping[object, object], key: str) -> Mapping[object, object]:
    value = {} if document.get(key) is None else document[key]
    if not isinstance(value, dict):
        raise InvalidInput(
            f"{path}: {key} is not a mapping.", f"Write `{key}:` and `name: value` lines below it."
        )
    return cast(Mapping[object, object], value)


def _entry_point(path: Path, key: object, body: object) -> EntryPoint:
    try:
        return _parse_entry_point(path, yaml_file.name(path, "an entry point", key), body)
    except InvalidInput as error:
        return EntryPoint(str(key), "", problem=error)


def _parse_entry_point(path: Path, name: str, body: object) -> EntryPoint:
    line = body.get("command") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(line, str) or not line.strip():
        raise InvalidInput(f"{path}: entry point {name} has no command.", "Add `command: python train.py …`.")
    parameters = tuple(
        _parameter(path, yaml_file.name(path, f"a parameter of {name}", key), value)
        for key, value in _mapping(path, body, "parameters").items()
    )
    options: dict[str, Parameter] = {}
    for parameter in parameters:
        other = options.setdefault(parameter.option, parameter)
        if other is not parameter:
            raise InvalidInput(
                f"{path}: the parameters {other.name} and {parameter.name} of {name} are one option, "
                f"{parameter.option}.",
                "Rename one of them.",
            )
    tables = {parameter.name for parameter in parameters if parameter.dataset or parameter.type == "path"}
    for parameter in parameters:
        if parameter.column_of and parameter.column_of not in tables:
            raise InvalidInput(
                f"{path}: the parameter {parameter.name} is a column of {parameter.column_of}, which is no "
                f"dataset of {name}.",
                "Name a parameter that has `dataset: true`, or `type: path`.",
            )
    command.arguments(line, {declared.name: "" for declared in parameters}, f"{path}: the command of {name}")
    return EntryPoint(name, line, parameters)


def _parameter(path: Path, name: str, body: object) -> Parameter:
    declaration = {"type": body} if isinstance(body, str) else body
    if not isinstance(declaration, dict):
        raise InvalidInput(f"{path}: parameter {name} is invalid.", "Write `{type: float, default: 0.1}`.")
    choices = declaration.get("choices") or []
    bounds = [declaration.get("minimum"), declaration.get("maximum")]
    if not isinstance(choices, list) or not all(bound is None or _is_number(bound) for bound in bounds):
        raise InvalidInput(
            f"{path}: the choices or bounds of parameter {name} are invalid.",
            "Write `choices: [a, b]`, `minimum: 0`, `maximum: 1`.",
        )
    kind = str(declaration.get("type") or "string")
    return Parameter(
        name=name,
        type=_TYPE_NAMES.get(kind, kind),
        default=None if declaration.get("default") is None else str(declaration["default"]),
        help=str(declaration.get("help", "")),
        choices=tuple(map(str, choices)),
        minimum=bounds[0],
        maximum=bounds[1],
        dataset=declaration.get("dataset") is True,
        column_of=_text(path, f"column_of of parameter {name}", declaration.get("column_of") or ""),
        target_as=_by_value(path, name, declaration, "target_as", (CLASSES, QUANTITY)),
        learns=_by_value(path, name, declaration, "learns", LEARNT),
    )


def _by_value(
    path: Path, name: str, declaration: Mapping[object, object], key: str, words: tuple[str, ...]
) -> dict[str, str]:
    """What is said of some of a parameter's values, each with one of `words`."""
    said = declaration.get(key) or {}
    if not isinstance(said, dict) or not all(word in words for word in said.values()):
        raise InvalidInput(
            f"{path}: {key} of parameter {name} is invalid.",
            f"Write `{key}: {{VALUE: {words[0]}}}`; there are {', '.join(words)}.",
        )
    return {str(value): str(word) for value, word in said.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def command_line(entry_point: EntryPoint, values: Mapping[str, str]) -> tuple[str, ...]:
    """The argument vector; a value stays what it is, whatever its characters (`shell_command.arguments`)."""
    where = f"The command of {entry_point.name}"
    declared = {parameter.name: values[parameter.name] for parameter in entry_point.parameters}
    extra = [(f"--{name}", value) for name, value in values.items() if name not in declared]
    # Only scripts get others than the declared ones, and their commands are words.
    return (
        *command.arguments(entry_point.command, declared, where),
        *(word for pair in extra for word in pair),
    )
