"""The packages that a requirements.txt names, for an image that is installed from a package registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from trainer.errors import InvalidInput
from trainer.projects.requirement_lines import decoded

_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s+|=)?(\S+)")
_OPTION = re.compile(r"--?[\w-]+")
# Of another lock: this one gets its own.
_HASH = re.compile(r"\s--hash[=\s]\S+")
_NAMED = re.compile(r"([\w.-]+(?:\[[^\]]*\])?)\s*@")
_PATH = re.compile(r"\.{0,2}/|\.$|~|[A-Za-z][\w+.-]*:/")


def read(path: Path) -> tuple[str, ...]:
    """The packages with their versions, those of files that it includes too.

    Raises `InvalidInput`, naming the line, for what is not a package of a registry.
    """
    return tuple(dict.fromkeys(_read(path, ())))


def package(text: str) -> Requirement | None:
    """The package that is written there, or None where it is none of a registry."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    return None if requirement.url else requirement


def _read(path: Path, including: tuple[Path, ...]) -> Iterator[str]:
    for number, line in _logical(decoded(path.read_bytes()).splitlines()):
        where = f"{path}, line {number}:"
        if include := _INCLUDE.fullmatch(line):
            included = path.parent / include[1]
            if not included.is_file():
                raise InvalidInput(f"{where} {include[1]} does not exist.", "Add it, or remove the line.")
            if included.resolve() not in including:
                yield from _read(included, (*including, path.resolve()))
        elif package(written := _HASH.sub("", line)):
            yield written
        else:
            raise _not_a_package(where, line)


def _logical(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines without comments and empty ones, continued ones as one, each with its number."""
    begun, start = "", 0
    for number, line in enumerate(lines, 1):
        start = start if begun else number
        text = begun + re.sub(r"(^|\s)#.*", "", line)
        begun = f"{text.rstrip()[:-1]} " if text.rstrip().endswith("\\") else ""
        if text.strip() and not begun:
            yield start, " ".join(text.split())
    if begun.strip():
        yield start, " ".join(begun.split())


def _not_a_package(where: str, line: str) -> InvalidInput:
    """Without what may hold a password: an address, and the value of an option."""
    option = _OPTION.match(line)
    if option and option[0] in ("-e", "--editable"):
        return InvalidInput(
            f"{where} an editable project ({option[0]}) cannot be installed in an image.",
            "Remove the line: a run works in its project's folder and imports from there.",
        )
    if option:
        return InvalidInput(
            f"{where} the option {option[0]} is not taken into an image.",
            "Remove the line. A package index may stand in requirements.in of the image (docs/own-image.md).",
        )
    if "@" in line or _PATH.match(line):
        name = f" of {named[1]}" if (named := _NAMED.match(line)) else ""
        return InvalidInput(
            f"{where} a file or address{name} cannot be installed in an image.",
            "Specify a version of a package registry instead: NAME==VERSION",
        )
    return InvalidInput(
        f"{where} this is not a package.", "Write NAME, or NAME and a version, such as click>=8.1."
    )
