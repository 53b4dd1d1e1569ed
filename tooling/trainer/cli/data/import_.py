"""`trainer data import`: a download becomes a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

import click

from trainer.cli import output
from trainer.cli.data import tables
from trainer.cli.data.arguments import dry_run_option, json_option, link_option, next_steps, warn_of_links
from trainer.cli.data.make import copies_as_json
from trainer.cli.examples import examples
from trainer.counted import counted
from trainer.errors import InvalidInput

if TYPE_CHECKING:
    from trainer.datasets.build.copying import Link
    from trainer.datasets.build.imported import Import
    from trainer.datasets.tables.imported import TableImport

_SHOWN = 3  # of the files that are left out


@click.command(
    "import",
    short_help="Import a download as a dataset.",
    epilog=examples(
        "trainer data import ~/Downloads/dermnet.zip --as data_24",
        "trainer data import customers.csv --as customers.csv --dry-run",
    ),
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, metavar="NAME", help="The dataset's name in data/, or a path.")
@link_option
@dry_run_option
@json_option
def import_(source: Path, name: str, link: str, dry_run: bool, as_json: bool) -> None:
    """Import SOURCE as a dataset: a folder with a folder of images per class, a CSV file, or a ZIP archive.

    SOURCE stays as it is. Classes get the names that `rename-classes` gives, files that are not images are
    left out, and folders around the classes are too. Of a CSV file, its columns are listed.
    """
    from trainer.datasets import folders
    from trainer.datasets.build import building, imported
    from trainer.datasets.tables import imported as imported_tables
    from trainer.workspace.settings import find

    goal = folders.new(name)
    building.check_new(goal)
    with ExitStack() as stack:
        with output.Bar() as bar:
            root = stack.enter_context(imported.unpacked(find(), source.expanduser(), bar))
        # What was unpacked here is nobody else's file.
        is_own = root != source.expanduser() and root.stat().st_dev == _device(goal)
        way = "hard" if is_own else cast("Link", link)
        warn_of_links("copy" if is_own else link)
        if table := imported_tables.plan(root, way):
            _import_table(table, source, goal, dry_run=dry_run, as_json=as_json)
        else:
            _import_images(imported.plan(root, way), source, goal, dry_run=dry_run, as_json=as_json)


def _import_images(planned: Import, source: Path, goal: Path, *, dry_run: bool, as_json: bool) -> None:
    with output.Bar() as bar:
        if dry_run:
            planned.copies.check(goal)
        else:
            planned.copies.make(goal, bar)
    if as_json:
        output.as_json(
            {
                **copies_as_json(planned.copies, goal, dry_run),
                "source": source,
                "inner_folder": planned.inner,
                "classes": {
                    new: {"was": old, "images": planned.counts[new]} for old, new in planned.classes.items()
                },
                "left_out": planned.left_out,
            }
        )
        return
    # Two names of 60 letters beside each other would be folded, and could not be told apart.
    output.table(
        ("IMAGES", "CLASS"),
        [(f"{planned.counts[new]:,}".rjust(len("IMAGES")), new if old == new else f"{new}\n  was {old}")
         for old, new in planned.classes.items()],
    )  # fmt: skip
    if planned.inner:
        click.echo(f"The classes are in the folder {planned.inner} of it.")
    _print_left_out("that are not images", planned.left_out)
    images = counted(len(planned.copies.files), "image")
    verb = "Would make" if dry_run else "Made"
    click.echo(f"{verb} {goal}: {images} in {counted(len(planned.counts), 'class')}")
    if not dry_run:
        next_steps(goal, "trainer data validate {}")


def _import_table(planned: TableImport, source: Path, goal: Path, *, dry_run: bool, as_json: bool) -> None:
    from trainer.datasets.build.copying import size
    from trainer.datasets.tables import shape

    target = planned.target(goal)
    table = shape.of(planned.source)
    if table and not table.rows:
        what = "has no rows below its header" if table.columns else "is empty"
        raise InvalidInput(f"{planned.source.name} {what}.", "Import a table with rows.")
    with output.Bar() as bar:
        if dry_run:
            planned.check(goal)
        else:
            planned.make(goal, bar)
    bytes_ = sum((planned.root / path).stat().st_size for path in planned.files)
    if as_json:
        output.as_json({"path": target, "source": source, "kind": "table",
                        "rows": table.rows if table else None, "columns": table.columns if table else None,
                        "bytes": bytes_, "left_out": planned.left_out, "dry_run": dry_run})  # fmt: skip
        return
    tables.print_columns(planned.source)
    _print_left_out("that are not CSV files", planned.left_out)
    verb = "Would make" if dry_run else "Made"
    click.echo(f"{verb} {target}: {f'{table}, ' if table else ''}{size(bytes_)}")
    if not dry_run:
        next_steps(target, "trainer data validate {}")


def _print_left_out(kind: str, paths: Sequence[PurePosixPath]) -> None:
    if paths:
        some = ", ".join(map(str, paths[:_SHOWN])) + (", …" if len(paths) > _SHOWN else "")
        click.echo(f"Files {kind}, and left out: {len(paths):,} ({some})")


def _device(target: Path) -> int:
    return next(folder for folder in target.parents if folder.exists()).stat().st_dev
