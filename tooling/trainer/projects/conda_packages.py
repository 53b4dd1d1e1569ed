"""What a package of a conda.yaml is on PyPI: mostly the same name, another form of the version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TypedDict, cast

import yaml

_NAMES = Path(__file__).with_name("conda_names.yaml")
_OPERATOR = r"(?:[=!]=|[<>~]=?|=)"


class _Names(TypedDict):
    renamed: dict[str, str]
    left_out: list[str]


@dataclass(frozen=True)
class Package:
    """A package as conda knows it; its version in pip's words, "" where any will do."""

    name: str
    version: str

    @property
    def requirement(self) -> str | None:
        """What pip installs for it; None where it is no Python package."""
        names = _names()
        if any(fnmatchcase(self.name, pattern) for pattern in names["left_out"]):
            return None
        return names["renamed"].get(self.name, self.name) + self.version


def parse(text: str) -> Package | None:
    """Read `numpy=1.21`, `numpy 1.21.* py38_0`, `conda-forge::numpy>=1.20,<2` and the like.

    Channel and build are left out, for PyPI has neither. None for what is invalid.
    """
    match = re.fullmatch(r"(?:[^\s\[]*::)?([\w.-]+)\s*(.*)", text.strip())
    if not match:
        return None
    name, rest = match[1].lower(), match[2]
    if rest.startswith("["):
        quoted = re.search(r"""version\s*=\s*["']?([^"'\]]*)""", rest)
        rest = quoted[1] if quoted else ""
    version = _version(rest.strip())
    return None if version is None else Package(name, version)


def _version(text: str) -> str | None:
    """Conda's `=1.21` is any 1.21; with a build after it, and without the sign, it is that very one."""
    text = re.sub(rf"({_OPERATOR}|,)\s+", r"\1", re.sub(r"\s+,", ",", text))
    if exact := re.fullmatch(r"=?=?\s*(\w[\w.!+]*)(?:=|\s+)\S+", text):
        return f"=={exact[1]}"
    # PyPI's form has no "or": any of the versions will do, so the first is taken.
    parts = text.partition("|")[0].split(",") if text else []
    specifiers = [_part(part) for part in parts]
    return None if None in specifiers else ",".join(cast(list[str], list(filter(None, specifiers))))


def _part(text: str) -> str | None:
    match = re.fullmatch(rf"({_OPERATOR}?)([\w.!+]*)(\.?\*)?", text)
    if not match or not (match[2] or match[3]):
        return None
    operator, version, star = match[1], match[2].rstrip("."), match[3]
    if not version:
        return ""  # any
    if operator in ("<", ">", "<=", ">=", "~="):
        return operator + version
    if operator == "!=":
        return f"!={version}{'.*' if star else ''}"
    # A local version (`+cu110`) is always a very one.
    return f"=={version}{'.*' if (star or operator == '=') and '+' not in version else ''}"


@cache
def _names() -> _Names:
    return cast(_Names, yaml.safe_load(_NAMES.read_text()))
