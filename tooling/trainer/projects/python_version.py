"""Which Python an environment file asks for, and whether uv can make an environment of it."""

from __future__ import annotations

import re
from pathlib import Path

from trainer.errors import InvalidInput

# What uv makes environments for; the newest is the newest that it knows.
_PYTHONS = tuple((3, minor) for minor in range(6, 16))
_PART = re.compile(r"\s*(==|~=|!=|>=|<=|>|<|)\s*(\d+)(?:\.(\d+))?((?:\.\d+)*)(?:\.\*)?\s*")
_Version = tuple[int, ...]


def check(path: Path, constraint: str) -> None:
    """Raises `InvalidInput`, naming the file, for what is no version or range, or one that cannot be had."""
    if not constraint:
        return
    if not all(map(_PART.fullmatch, constraint.split(","))):
        raise InvalidInput(
            f"{path}: python is {constraint!r}, which is not a version.", "Write a version, such as 3.11."
        )
    if not _fitting(constraint):
        first, last = (".".join(map(str, python)) for python in (_PYTHONS[0], _PYTHONS[-1]))
        raise InvalidInput(
            f"{path}: python is {constraint}, which is not available.",
            f"Write a version from {first} to {last}, such as 3.11.",
        )


def to_name(constraint: str) -> str:
    """One version that will do, for the name of an image that has it."""
    exact = re.fullmatch(r"(?:==)?\s*(\d+(?:\.\d+)*)(?:\.\*)?", constraint)
    return exact[1] if exact else ".".join(map(str, _fitting(constraint)[-1]))


def _fitting(constraint: str) -> list[_Version]:
    """The minor versions that will do, or may do in some of their patches."""
    parts = [match for part in constraint.split(",") if (match := _PART.fullmatch(part))]
    return [python for python in _PYTHONS if all(_allows(match, python) for match in parts)]


def _allows(part: re.Match[str], python: _Version) -> bool:
    version = tuple(int(number) for number in part.group(2, 3) if number)
    match part[1]:
        case "" | "==":
            return python[: len(version)] == version
        case "~=":
            return python[0] == version[0] and (python == version if part[4] else python >= version)
        case ">=" | ">":
            return python >= version
        case "<=":
            return python <= version
        case "<":
            return python < version or (python == version and bool(part[4]))
    return True
