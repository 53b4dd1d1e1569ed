"""The parameters of a project that name columns of a table, checked against the file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from trainkit.data.table import selection
from trainkit.errors import InputError

from trainer.datasets.tables import files, header, learnt, rows
from trainer.errors import InvalidInput
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


def check_together(workspace: Workspace, entry_point: EntryPoint, values: Mapping[str, str]) -> None:
    """Raises `InvalidInput` for a CSV file, or columns of it, that trainkit refuses by what the host can see.

    Parameters are trainkit's where they are named and default as those of `selection.select`. A script of its
    own may take what it likes.
    """
    of_select = {"target": selection.LAST, "drop": selection.NONE, "categorical": selection.NONE}
    ours = [p for p in entry_point.parameters if p.column_of and of_select.get(p.name) == p.default]
    goal = next((parameter for parameter in ours if parameter.name == "target"), None)
    path = table(workspace, entry_point, goal, values) if goal else None
    if goal is None or path is None or not files.of(path):
        return
    if path.is_dir():
        source = entry_point.parameter(goal.column_of)
        raise InvalidInput(
            f"{path} is a folder, and what is learnt is one CSV file.",
            f"Specify one of its files: {source.option if source else ''} "
            f"{values[goal.column_of]}/{files.of(path)[0].name}",
        )
    if path.suffix.lower() not in files.SUFFIXES:
        return
    some = list(islice((row for row in islice(rows.read(path), 1, None) if row.text.strip()), 2))
    if len(some) < 2:
        found = "1 row" if some else "no rows"
        raise InvalidInput(f"{path.name} has {found} below its header.", "Add rows.")
    asked = {
        parameter.name: values[parameter.name] for parameter in ours if parameter.column_of == goal.column_of
    }
    try:
        selection.select(header.columns(path) or (), file=path.name, **asked)
    except InputError as error:
        raise InvalidInput(error.message, error.hint) from None
    learnt.check(path, entry_point, values, asked)


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
