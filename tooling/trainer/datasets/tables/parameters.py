"""The parameters of a project that name columns of a table, checked against its header."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.datasets.tables import header
from trainer.projects.mlproject import EntryPoint
from trainer.projects.parameters import Parameter, is_elsewhere
from trainer.workspace.settings import Workspace


def check(
    workspace: Workspace, entry_point: EntryPoint, parameter: Parameter, values: Mapping[str, str]
) -> None:
    """Raises `InvalidInput` where the value names a column that the table does not have, or it has no header.

    The default and the choices are no columns. A dataset that is no file here is not looked into.
    """
    value = values[parameter.name]
    path = table(workspace, entry_point, parameter, values)
    columns = header.columns(path) if path else None
    if path is None or columns is None or value in ("", parameter.default, *parameter.choices):
        return
    for name in names(value, columns):
        header.position(name, columns, parameter.option, path)


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
    """The columns that a value names: one, whatever is in its name, or several with commas between.

    A name with a comma in it then stands in quotation marks, as in a CSV file.
    """
    if value in columns:
        return [value]
    parts = next(csv.reader([value], skipinitialspace=True), [])
    return [name for part in parts if (name := part.strip())]
