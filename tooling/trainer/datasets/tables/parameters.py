"""The parameters of a project that name columns of a table, checked against its header."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.datasets.tables import header
from trainer.errors import InvalidInput
from trainer.projects.mlproject import EntryPoint
from trainer.projects.parameters import Parameter, is_elsewhere
from trainer.workspace.settings import Workspace

_SHOWN = 10  # of a table's columns


def check(
    workspace: Workspace, entry_point: EntryPoint, parameter: Parameter, values: Mapping[str, str]
) -> None:
    """Raises `InvalidInput` where the value names a column that the table does not have.

    The default and the choices are no columns. A dataset that is no file here is not looked into.
    """
    value = values[parameter.name]
    if value in ("", parameter.default, *parameter.choices):
        return
    path = table(workspace, entry_point, parameter, values)
    columns = header.columns(path) if path else None
    if path is None or columns is None:
        return
    for name in names(value, columns):
        if name not in columns:
            raise InvalidInput(
                f"{parameter.option} names {name}, which is not a column of {path.name}.",
                _nearest(name, columns),
            )


def table(
    workspace: Workspace, entry_point: EntryPoint, parameter: Parameter, values: Mapping[str, str]
) -> Path | None:
    """The file or folder on this host whose columns the parameter names, if it is one."""
    source = entry_point.parameter(parameter.column_of)
    value = values.get(parameter.column_of, source.default if source else None)
    if source is None or not value or is_elsewhere(value):
        return None
    return workspace.data / value if source.dataset else Path(value)


def names(value: str, columns: Sequence[str]) -> list[str]:
    """The columns that a value names: one, whatever is in its name, or several with commas between."""
    if value in columns:
        return [value]
    return [name for part in value.split(",") if (name := part.strip())]


def _nearest(name: str, columns: Sequence[str]) -> str:
    lower = {column.lower(): column for column in reversed(columns)}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    if near:
        return f"Did you mean {lower[near[0]]}?"
    more = ", …" if len(columns) > _SHOWN else "."
    return f"Its columns are {', '.join(columns[:_SHOWN])}{more}"
