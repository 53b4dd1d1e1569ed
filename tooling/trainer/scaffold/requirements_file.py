"""The packages that a requirements.txt names, for an image that is installed from a package registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from trainer.errors import InvalidInput
from trainer.projects.requirement_lines import decoded

_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s+|=)?(\S+)")
_OPTION = re.compile(r"--?[\w-]+")
# Of another lock: this one gets its own.
_HASH = re.compile(r"\s--hash[=\s]\S+")
_NAMED = re.compile(r"([\w.-]+(?:\[[^\]]*\])?)\s*@")
_EGG = re.compile(r"#(?:.*&)?egg=([\w.-]+)")
_INDEX = ("-i", "--index-url", "--extra-index-url")
_INDEX_HINT = (
    "Write the index into requirements.in of the image that is made, without credentials; then add the "
    "packages that are there: trainer images add NAME PACKAGE"
)
_PATH = re.compile(r"\.{0,2}/|\.$|~|[A-Za-z][\w+.-]*:/")


@dataclass(frozen=True)
class _Refused:
    """A line that is not a package of a registry."""

    file: Path
    line: int
    what: str
    why: str
    hint: str


def read(path: Path) -> tuple[str, ...]:
    """The packages with their versions, those of files that it includes too.

    Raises `InvalidInput`, naming every such line, for what is not a package of a registry.
    """
    entries = list(_read(path, ()))
    if refused := [entry for entry in entries if isinstance(entry, _Refused)]:
        raise _error(refused)
    return tuple(dict.fromkeys(entry for entry in entries if isinstance(entry, str)))


def package(text: str) -> Requirement | None:
    """The package that is written there, or None where it is none of a registry."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    return None if requirement.url else requirement


def _read(path: Path, including: tuple[Path, ...]) -> Iterator[str | _Refused]:
    for number, line in _logical(decoded(path.read_bytes()).splitlines()):
        if include := _INCLUDE.fullmatch(line):
            included = path.parent / include[1]
            if not included.is_file():
                hint = "Add it, or remove the line."
                yield _Refused(path, number, f"{include[1]} does not exist", "", hint)
            elif included.resolve() not in including:
                yield from _read(included, (*including, path.resolve()))
        elif package(written := _HASH.sub("", line)):
            yield written
        else:
            yield _Refused(path, number, *_not_a_package(line))


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


def _not_a_package(line: str) -> tuple[str, str, str]:
    """What it is, why that is refused, and a hint. Without what may hold a password: an address, and the
    value of an option.
    """
    option = _OPTION.match(line)
    if option and option[0] in ("-e", "--editable"):
        return (
            f"an editable project ({option[0]})",
            " cannot be installed in an image",
            "Remove the line: a run works in its project's folder and imports from there.",
        )
    if option:
        return (
            f"the option {option[0]}",
            " is not taken into an image",
            f"Remove the line. {_INDEX_HINT}" if option[0] in _INDEX else "Remove the line.",
        )
    if "@" in line or _PATH.match(line):
        name = f" of {named[1]}" if (named := _NAMED.match(line) or _EGG.search(line)) else ""
        return (
            f"a file or address{name}",
            " cannot be installed in an image",
            "Specify a version of a package registry instead: NAME==VERSION",
        )
    return "this is not a package", "", "Write NAME, or NAME and a version, such as click>=8.1."


def _error(refused: Sequence[_Refused]) -> InvalidInput:
    if len(refused) == 1:
        (one,) = refused
        return InvalidInput(f"{one.file}, line {one.line}: {one.what}{one.why}.", one.hint)
    file = refused[0].file
    lines = [f"{'' if one.file == file else f'{one.file}, '}line {one.line}: {one.what}" for one in refused]
    hint = (
        "Remove them from a copy, or write NAME==VERSION of a package registry in their place, and use that: "
        "--from COPY."
    )
    has_index = any(_INDEX_HINT in one.hint for one in refused)
    return InvalidInput(
        f"{file} has {len(refused)} lines that an image cannot have: {'; '.join(lines)}.",
        f"{hint} {_INDEX_HINT}" if has_index else hint,
    )
