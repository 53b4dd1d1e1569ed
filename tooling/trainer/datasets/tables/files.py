"""Which datasets are tables: CSV files, and folders that hold CSV files and nothing else."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = frozenset({".csv", ".tsv"})


def of(root: Path) -> tuple[Path, ...]:
    """The files of a table, sorted: the file itself, or those of the folder.

    None for another dataset, and for one that cannot be looked into.
    """
    try:
        entries = [root] if root.is_file() else [path for path in root.iterdir() if path.name[0] != "."]
        are_tables = all(path.suffix.lower() in SUFFIXES and path.is_file() for path in entries)
    except OSError:
        return ()
    return tuple(sorted(entries)) if are_tables else ()
