"""Files that say what classes are to be called: YAML `old name: new name`, or CSV `old,new`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import yaml

from trainer.errors import InvalidInput


def read(path: Path) -> dict[str, str]:
    """Old name → new name. Raises `InvalidInput`, also for a name that is given twice."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise InvalidInput(f"{path} is not a file.", "Write one `old name: new name` a line, into a file.")
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark in front
    except FileNotFoundError:
        raise InvalidInput(
            f"There is no mapping file {path}.", "Write one `old name: new name` a line."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", "Save it as UTF-8 text.") from None
    pairs = list(_csv(path, text) if path.suffix.lower() == ".csv" else _yaml(path, text))
    names: dict[str, str] = {}
    for old, new in pairs:
        if names.get(old, new) != new:
            raise InvalidInput(
                f"{path} gives {old!r} two names: {names[old]!r} and {new!r}.", "Remove one of them."
            )
        names[old] = new
    return names


def _yaml(path: Path, text: str) -> Iterable[tuple[str, str]]:
    try:
        # The nodes, because a loaded mapping hides names that are there twice, and makes a boolean of `no`.
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else str(error)
        raise InvalidInput(
            f"{path} is not valid YAML: {where}", "Put names with a colon into quotes."
        ) from None
    if document is None:
        return
    if not isinstance(document, yaml.MappingNode):
        raise InvalidInput(f"{path} is not a mapping.", "Write one `old name: new name` a line.")
    for key, value in document.value:
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            raise InvalidInput(
                f"{path}, line {key.start_mark.line + 1}: this is not `old name: new name`.", "Fix the line."
            )
        yield key.value, value.value


def _csv(path: Path, text: str) -> Iterable[tuple[str, str]]:
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and [cell.lower() for cell in cells] == ["old", "new"]):
            continue
        if len(cells) != 2:
            raise InvalidInput(
                f"{path}, line {number}: {len(cells)} columns instead of two.",
                'Write `old,new`, and a name with a comma in it in "quotes".',
            )
        yield cells[0], cells[1]
