"""What the commands of `trainer data` print of tables."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.cli import output
from trainer.errors import InvalidInput


def print_columns(root: Path) -> None:
    """Print the columns of a table with their kinds, or why they cannot be read."""
    from trainkit.data.table import columns, csv_file
    from trainkit.errors import InputError

    from trainer.datasets.tables import files

    try:
        described = columns.describe(csv_file.read(files.of(root)[0]))
    except InputError as error:
        click.echo(error.message)
        return
    output.table(
        ("COLUMN", "KIND", "LEFT OUT OF A TRAINING", "MISSING", "DISTINCT"),
        [
            (column.name, column.kind, column.left_out or "-", f"{column.missing:,}", f"{column.distinct:,}")
            for column in described
        ],
        numbers=2,
    )


def one_file(root: Path) -> Path:
    """The file of a table. Raises `InvalidInput` for a folder of several."""
    from trainer.datasets.tables import files

    paths = files.of(root)
    if len(paths) > 1:
        raise InvalidInput(
            f"{root} has {len(paths)} CSV files.", f"Specify one of them: {root / paths[0].name}"
        )
    return paths[0]
