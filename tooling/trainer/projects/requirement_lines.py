"""The lines of requirements, as `pip freeze` and people write them, for a place where the project is not."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.errors import InvalidInput

_INCLUDE = re.compile(r"\s*(?:-r|--requirement|-c|--constraint)(?:\s+|=)?(\S+)")
_LOCAL = re.compile(r"\s*(?:-e\b|--editable\b|\.{0,2}/|\.\s*$|~/|\S+\s*@\s*(?:file:|\.{0,2}/)|file:)")
_EDITABLE_GIT = re.compile(r"\s*(?:-e|--editable)(?:\s+|=)(git\+[^\s#]+)(?:#(\S*))?")
# `attrs @ file:///croot/attrs_1668696182826/work`, where conda or somebody built it.
_BUILT_ELSEWHERE = re.compile(r"\s*([\w.-]+(?:\[[\w,. -]*\])?)\s*@\s*file://(/[^\s;#]*)[^\s;]*(\s*;.*)?$")
_WHEEL = re.compile(r"/[\w.]+-(\d[\w.!+]*)(?:-\w+)?-[\w.]+-\w+-\w+\.whl$")


@dataclass
class Requirements:
    """Lines that can be installed anywhere, with the files that they name."""

    lines: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    """By their paths in the project."""
    unpinned: list[str] = field(default_factory=list)
    """What was frozen as a file of another machine, so that its version is unknown."""


def decoded(content: bytes) -> str:
    """Text as Windows and its PowerShell write it, too."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")


def read(path: Path, folder: Path, lines: Iterable[str]) -> Requirements:
    """The lines of `path`, an environment file of the project in `folder`.

    Raises `InvalidInput` naming it.
    """
    requirements = Requirements()
    requirements.lines = tuple(_read(path, folder.resolve(), Path(), lines, requirements))
    return requirements


def _read(
    path: Path, folder: Path, relative_to: Path, lines: Iterable[str], requirements: Requirements
) -> Iterable[str]:
    """The lines as they can be installed; `relative_to` is where their own file is in the project."""
    for line in lines:
        if git := _EDITABLE_GIT.match(line):
            yield _not_editable(git[1], git[2])
        elif built := _BUILT_ELSEWHERE.match(line):
            yield _from_the_registry(path, built, requirements)
        elif _LOCAL.match(line):
            raise _local(path, line)
        else:
            yield line
            named = _INCLUDE.match(line)
            if named and "://" not in named[1]:
                _include(path, folder, relative_to, named[1], requirements)


def _include(path: Path, folder: Path, relative_to: Path, name: str, requirements: Requirements) -> None:
    included_path = (folder / relative_to / name).resolve()
    if not included_path.is_relative_to(folder) or not included_path.is_file():
        raise InvalidInput(
            f"{path} names {name}, which is not in the project.", "Add it, or correct the line."
        )
    inside = included_path.relative_to(folder)
    if str(inside) in requirements.files:
        return
    content = included_path.read_bytes()
    requirements.files[str(inside)] = content  # before what it names, which may be itself
    lines = decoded(content).splitlines()
    included = list(_read(included_path, folder, inside.parent, lines, requirements))
    if included != lines or not content.isascii():
        requirements.files[str(inside)] = "".join(f"{line}\n" for line in included).encode()


def _not_editable(url: str, fragment: str | None) -> str:
    """A commit of a git repository, which uv installs in the usual way alone."""
    options = dict(part.partition("=")[::2] for part in (fragment or "").split("&"))
    subdirectory = f"#subdirectory={options['subdirectory']}" if "subdirectory" in options else ""
    return (f"{options['egg']} @ " if options.get("egg") else "") + url + subdirectory


def _from_the_registry(path: Path, built: re.Match[str], requirements: Requirements) -> str:
    name, location, marker = built[1], built[2], built[3] or ""
    if Path(location).exists():
        raise InvalidInput(
            f"{path}: {built[0].strip()} is a file of this machine, which is not there when the image is "
            "built.",
            "Specify a version of a package registry instead, or run in an image that has it: --image IMAGE",
        )
    if wheel := _WHEEL.search(location):
        return f"{name}=={wheel[1]}{marker}"
    requirements.unpinned.append(name)
    return name + marker


def _local(path: Path, line: str) -> InvalidInput:
    return InvalidInput(
        f"{path}: {line.strip()} is of the project, which is not there when its image is built.",
        "Leave it out, and import it from the folder: a run's working folder is the project.",
    )
