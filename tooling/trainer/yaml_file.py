"""YAML that people write: trainer.yaml, MLproject, image.yaml, python_env.yaml, conda.yaml."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from trainer.errors import InvalidInput

_MOST = 100_000  # values, with what aliases stand for


class _Loader(yaml.SafeLoader):
    """A key that is given twice is an error, as YAML has it, and no loss of the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise _DuplicateKey(key.value, key.start_mark.line + 1)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


class _WordsLoader(_Loader):
    """What is no number is text, but for true, false and null: YAML 1.1 makes truth values of yes and on."""


_TRUTH, _TIME = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"
_WordsLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_TRUTH, _TIME)]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_WordsLoader.add_implicit_resolver(_TRUTH, re.compile("(?:true|false)$", re.IGNORECASE), list("tTfF"))


class _DuplicateKey(Exception):
    def __init__(self, key: str, line: int) -> None:
        super().__init__()
        self.key, self.line = key, line


def plain(text: str) -> str | int | float:
    """A value that is a text here, as somebody writes it: a number that is read as the same text is one."""
    try:
        value: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) == text:
        return value
    return text


def read(path: Path, *, words: bool = False) -> object:
    """What the file says. Raises `InvalidInput`, naming file and line, where that is no YAML in UTF-8.

    With `words`, a bare yes, no, on, off or date is text, as YAML 1.2 has it.
    """
    if not path.is_file():  # a device or a pipe would be read for ever
        at = f" is a link to {path.readlink()}, which" if path.is_symlink() else ""
        raise InvalidInput(
            f"{path}{at} is {_kind(path)}, and has to be a file.", "Put a text file in its place."
        )
    try:
        document: object = yaml.load(path.read_bytes(), _WordsLoader if words else _Loader)  # noqa: S506
    except _DuplicateKey as error:
        raise InvalidInput(
            f"{path}, line {error.line}: the key {error.key} is given twice.", "Keep one of the two."
        ) from None
    # The parser passes on what its makers of numbers, dates and so on raise.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as yaml_error:
        mark = getattr(yaml_error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        hint = "Correct the line." if mark else "Write it in UTF-8 as YAML: `name: value`."
        raise InvalidInput(f"{path}{where}: this is not valid YAML.", hint) from None
    _check(path, document)
    return document


def name(path: Path, what: str, key: object) -> str:
    """A key that names something of the user's. Raises `InvalidInput` for one that YAML takes for no text."""
    if isinstance(key, str):
        return key
    raise InvalidInput(
        f"{path}: {what} has a name that YAML reads as {key}, which is not text.",
        "Put the name in quotes: a bare yes, no, on, off, null or number is another value in YAML.",
    )


def scalar(value: object) -> str | None:
    """A single value as a run is given it; None for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _kind(path: Path) -> str:
    try:
        return (
            "a folder" if path.is_dir() else "a device, a pipe or a socket" if path.exists() else "not there"
        )
    except OSError:  # a link to itself, before Python 3.13
        return "not there"


def _check(path: Path, document: object) -> None:
    """A few lines of aliases can stand for more than a machine can hold, and an escape for no letter."""
    waiting, remaining = [document], _MOST
    while waiting:
        match waiting.pop():
            case dict() as pairs:
                waiting += [*pairs, *pairs.values()]
            case list() | tuple() | set() as items:
                waiting += items
            case str() as text if not _is_text(text):
                raise InvalidInput(f"{path} holds {text!r}, which is not valid text.", "Remove the escape.")
        remaining -= 1
        if remaining < 0:
            raise InvalidInput(f"{path} holds more than {_MOST} values.", "Shorten it, or use fewer aliases.")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
