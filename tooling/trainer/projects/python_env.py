"""A project's python_env or conda_env file: what of it pip's packages can be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import yaml

from trainer import yaml_file
from trainer.errors import InvalidInput
from trainer.projects import conda_packages, requirement_lines
from trainer.projects.parameters import nearest

_KEYS = ("python", "build_dependencies", "dependencies")
_BUILD_TOOLS = ("pip", "setuptools", "wheel")


@dataclass(frozen=True)
class Environment:
    """What is to be installed. `python` is a version or a range of them; "" where any will do."""

    python: str = ""
    build_dependencies: tuple[str, ...] = ()
    """Installed first."""
    dependencies: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What the dependencies name (`-r requirements.txt`), by their paths in the project."""
    from_conda: tuple[str, ...] = ()
    """What conda would install, and pip does; under the names that the file has."""
    left_out: tuple[str, ...] = ()
    """What only conda can install."""
    unpinned: tuple[str, ...] = ()
    """What the file names as a file of another machine: its newest version is installed."""

    conda: bytes = field(default=b"", repr=False)
    """All of a conda.yaml, as it can be installed anywhere."""

    @property
    def needs_git(self) -> bool:
        """Whether something is installed from a git repository."""
        lines = [*self.build_dependencies, *self.dependencies]
        return any("git+" in line for line in (*lines, *(text.decode() for text in self.files.values())))


def read(path: Path, folder: Path, *, is_conda: bool) -> Environment:
    """Read the file of the project in `folder`.

    Raises `InvalidInput`, naming it, for what is not possible.
    """
    document = yaml_file.read(path)
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} describes no environment.", "It needs `dependencies`.")
    environment = _conda_env(path, document) if is_conda else _python_env(path, document)
    lines = requirement_lines.read(path, folder, (*environment.build_dependencies, *environment.dependencies))
    first = len(environment.build_dependencies)
    return replace(
        environment,
        build_dependencies=lines.lines[:first],
        dependencies=lines.lines[first:],
        files=lines.files,
        unpinned=tuple(lines.unpinned),
        conda=_complete(document, lines.lines[first + len(environment.from_conda) :]) if is_conda else b"",
    )


def _complete(document: Mapping[object, object], pip: tuple[str, ...]) -> bytes:
    items = [item for item in cast(list[object], document.get("dependencies") or []) if isinstance(item, str)]
    complete = {"channels": document.get("channels") or ["conda-forge"], "dependencies": items}
    return yaml.safe_dump({**complete, "dependencies": [*items, {"pip": [*pip]}] if pip else items}).encode()


def _python_env(path: Path, document: Mapping[object, object]) -> Environment:
    for key in document:
        if key not in _KEYS:
            raise InvalidInput(f"{path} has the unknown key {key}.", nearest(str(key), _KEYS, "The keys are"))
    python = document.get("python") or ""
    if not isinstance(python, str):  # 3.10 would be 3.1
        raise InvalidInput(f"{path}: python is {python!r}, a number.", 'Write it as a text: python: "3.11"')
    build, dependencies = (_texts(path, key, document.get(key) or []) for key in _KEYS[1:])
    return Environment(python, build, dependencies)


def _conda_env(path: Path, document: Mapping[object, object]) -> Environment:
    """Python, the tools of building, what pip installs, and what PyPI has of the rest."""
    python, build, requirements, left_out = "", [], {}, []
    dependencies: tuple[str, ...] = ()
    items = document.get("dependencies") or []
    for item in items if isinstance(items, list) else [None]:
        match item:
            case str() if package := conda_packages.parse(item):
                if package.name == "python":
                    python = package.version.removeprefix("==").removesuffix(".*")
                elif package.name in _BUILD_TOOLS:
                    build.append(package.name + package.version)
                elif package.requirement:
                    requirements[package.name] = package.requirement
                else:
                    left_out.append(package.name)
            case {"pip": lines}:
                dependencies = _texts(path, "pip", lines)
            case _:
                raise InvalidInput(f"{path}: {item!r} is invalid.", "Write name=version, or pip: [...].")
    for line in dependencies:  # what pip installs after conda replaces it
        if named := re.match(r"\s*([\w.-]+)", line):
            requirements.pop(named[1].lower().replace("_", "-"), None)
    return Environment(
        python,
        tuple(build),
        (*requirements.values(), *dependencies),
        from_conda=tuple(requirements),
        left_out=tuple(left_out),
    )


def _texts(path: Path, key: str, items: object) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        hint = 'Write ["numpy==2.1", "-r requirements.txt"].'
        raise InvalidInput(f"{path}: {key} is not a list of requirements.", hint)
    return tuple(cast(list[str], items))
