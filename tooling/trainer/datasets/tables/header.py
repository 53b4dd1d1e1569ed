"""The names of a table's columns, from its first line alone."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from trainkit.data.table import csv_file
from trainkit.errors import InputError, did_you_mean

from trainer.datasets.tables import files
from trainer.errors import InvalidInput

_SHOWN = 10  # of a table's columns


def columns(root: Path) -> tuple[str, ...] | None:
    """The names in the header of a file, or of the first file of a folder of CSV files.

    None for what is none, such as a ZIP archive. Raises `InvalidInput` for a CSV file whose header cannot be
    read.
    """
    paths = files.of(root) or ((root,) if root.is_file() else ())
    if not paths or zipfile.is_zipfile(paths[0]):
        return None
    try:
        return csv_file.header(paths[0]).names
    except InputError as error:
        if paths[0].suffix.lower() not in files.SUFFIXES:  # it may be anything
            return None
        raise InvalidInput(error.message, error.hint) from None


def position(name: str, names: Sequence[str], option: str, path: Path) -> int:
    """Which of the columns has the name, from 0. Raises `InvalidInput` with the nearest for none of them."""
    if name in names:
        return names.index(name)
    lower = {column.lower(): column for column in reversed(names)}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    more = ", …" if len(names) > _SHOWN else "."
    raise InvalidInput(
        f"{option} names {name}, which is not a column of {path.name}.",
        did_you_mean(lower[near[0]]) if near else f"Its columns are {', '.join(names[:_SHOWN])}{more}",
    )
