"""A project's python_env or conda_env file: what of it pip's packages can be, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from trainer import yaml_file
from trainer.errors import BadInput
from trainer.parameters import nearest

_KEYS = ("python", "build_dependencies", "dependencies")
_BUILD_TOOLS = ("pip", "setuptools", "wheel")
_INCLUDE = re.compile(r"\s*(?:-r|--requirement|-c|--constraint)(?:\s+|=)?(\S+)")
_LOCAL = re.compile(r"\s*(?:-e\b|--editable\b|\.{0,2}/|\.\s*$|~/|\S+\s*@\s*(?:file:|\.{0,2}/)|file:)")


@dataclass(frozen=True)
class Environment:
    """What is to be installed. `python` is a version or a range of them; "" where any will do."""

    python: str = ""
    build_dependencies: tuple[str, ...] = ()
    """Installed first."""
    dependencies: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What the dependencies name (`-r requirements.txt`), by their paths in the project."""


def read(path: Path, folder: Path, *, is_conda: bool) -> Environment:
    """Read the file of the project in `folder`. Raises `BadInput`, naming it, for what is not possible."""
    said = yaml_file.read(path)
    if not isinstance(said, dict):
        raise BadInput(f"{path} describes no environment.", "It needs `dependencies`.")
    python, build, dependencies = _conda_env(path, said) if is_conda else _python_env(path, said)
    files = dict(_included(path, folder.resolve(), Path(), (*build, *dependencies)))
    return Environment(python, build, dependencies, files)


_Read = tuple[str, tuple[str, ...], tuple[str, ...]]


def _python_env(path: Path, said: Mapping[object, object]) -> _Read:
    for key in said:
        if key not in _KEYS:
            raise BadInput(f"{path} has the unknown key {key}.", nearest(str(key), _KEYS, "The keys are"))
    python = said.get("python") or ""
    if not isinstance(python, str):  # 3.10 would be 3.1
        raise BadInput(f"{path}: python is {python!r}, a number.", 'Write it as a text: python: "3.11"')
    build, dependencies = (_texts(path, key, said.get(key) or []) for key in _KEYS[1:])
    return python, build, dependencies


def _conda_env(path: Path, said: Mapping[object, object]) -> _Read:
    """A conda.yaml as MLflow writes them itself: Python, the tools of building, and what pip installs."""
    python, build, others = "", [], []
    dependencies: tuple[str, ...] = ()
    items = said.get("dependencies") or []
    for item in items if isinstance(items, list) else [None]:
        match item:
            case str():
                name, version = _conda_package(item)
                if name == "python":
                    python = version.removeprefix("==").removesuffix(".*")
                elif name in _BUILD_TOOLS:
                    build.append(name + version)
                else:
                    others.append(item)
            case {"pip": lines}:
                dependencies = _texts(path, "pip", lines)
            case _:
                raise BadInput(f"{path}: {item!r} is not understood.", "Write name=version, or pip: [...].")
    if others:
        raise BadInput(
            f"{path} has packages that only conda installs: {', '.join(others)}.",
            "Have them from pip (below `pip:`), or run in an image that has them: --image IMAGE",
        )
    return python, tuple(build), dependencies


def _conda_package(text: str) -> tuple[str, str]:
    """Name and version in pip's words: a channel (`conda-forge::`) and a build (`=h1234`) are left out."""
    text = re.sub(r"^.*::|\s", "", re.sub(r"^([\w.-]+)\s+(?=\d)", r"\1==", text.strip()))
    name = re.split(r"[^\w.-]", text)[0]
    version = text.removeprefix(name)
    if exact := re.fullmatch(r"==?([\w.*]+)(?:=.*)?", version):
        version = f"=={exact[1]}"
    return name, version


def _texts(path: Path, key: str, items: object) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        hint = 'Write ["numpy==2.1", "-r requirements.txt"].'
        raise BadInput(f"{path}: {key} is no list of requirements.", hint)
    return tuple(cast(list[str], items))


def _included(path: Path, folder: Path, beside: Path, lines: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The files that the lines name, and those that these name; `beside` is where their own file is."""
    for line in lines:
        if _LOCAL.match(line):
            raise BadInput(
                f"{path}: {line.strip()} is of the project, which is not there when its image is built.",
                "Leave it out, and import it from the folder: a run's working folder is the project.",
            )
        named = _INCLUDE.match(line)
        if not named or "://" in named[1]:
            continue
        place = (folder / beside / named[1]).resolve()
        if not place.is_relative_to(folder) or not place.is_file():
            raise BadInput(
                f"{path} names {named[1]}, which the project has not.", "Add it, or correct the line."
            )
        content = place.read_bytes()
        inside = place.relative_to(folder)
        yield str(inside), content
        nested = tuple(content.decode(errors="replace").splitlines())
        yield from _included(place, folder, inside.parent, nested)
