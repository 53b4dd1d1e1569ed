"""The names of a table's columns, from its first line alone."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

SEPARATORS = ",;\t"


def columns(path: Path) -> tuple[str, ...] | None:
    """The names in the header; None for what is no text in UTF-8, a folder or a ZIP archive."""
    if not path.is_file() or zipfile.is_zipfile(path):
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = max(SEPARATORS, key=first.count)
            file.seek(0)
            names = next(csv.reader(file, delimiter=separator), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return tuple(name.strip() for name in names)
