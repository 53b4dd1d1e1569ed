"""Which datasets are tables: CSV files, and folders that hold CSV files and nothing else."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = frozenset({".csv", ".tsv"})


def of(root: Path) -> tuple[Path, ...]:
    """The files of a table, sorted: the file itself, or those of the folder; none for another dataset."""
    if root.is_file():
        return (root,) if root.suffix.lower() in SUFFIXES else ()
    if not root.is_dir():
        return ()
    entries = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    return tuple(entries) if all(map(_is_file, entries)) else ()


def _is_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
