"""`trainer data`: what can be done with datasets, that is folders of images and tables."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from trainer.cli import output as screen
from trainer.cli.data import tables
from trainer.cli.data.arguments import (
    complete_column,
    complete_dataset,
    dry_run_option,
    json_option,
    next_steps,
    only_of,
)
from trainer.cli.data.import_ import import_
from trainer.cli.data.make import sample, subset
from trainer.cli.data.split import split
from trainer.cli.data.validate import validate
from trainer.cli.data.versions import diff, list_, show, snapshot, verify
from trainer.cli.examples import examples
from trainer.counted import counted
from trainer.errors import InvalidInput, TrainerError


@click.group(
    short_help="Manage datasets: image folders and tables.", epilog=examples("trainer data sample demo")
)
def data() -> None:
    """Datasets: folders with one folder of images per class, and tables (CSV files).

    A dataset is named by its name in the workspace's data/ folder, or by a path.
    """


@data.command(
    "rename-classes",
    short_help="Clean up the names of a dataset's classes.",
    epilog=examples("trainer data rename-classes data_24 --dry-run"),
)
@click.argument("dataset", metavar="DIR", shell_complete=complete_dataset)
@click.option("--mapping", type=click.Path(path_type=Path), metavar="FILE",
              help="Your own names: YAML `old name: new name`, or CSV `old,new`.")  # fmt: skip
@click.option("--undo", is_flag=True, help="Undo the last renaming.")
@dry_run_option
@json_option
def rename_classes(dataset: str, mapping: Path | None, undo: bool, dry_run: bool, as_json: bool) -> None:
    """Remove the word "photos" from class names and replace spaces with "_".

    Images stay as they are. If anything is in the way of a new name, nothing is renamed. A renaming that was
    interrupted is finished by the next call.
    """
    from trainer.datasets import folders
    from trainer.datasets.rename import classes
    from trainer.datasets.rename import mapping as mappings

    if undo and mapping:
        raise InvalidInput("--undo and --mapping cannot be combined.", "Pass one of them.")
    root = folders.existing(dataset)
    if undo:
        outcome = classes.undo(root, dry_run=dry_run)
    else:
        outcome = classes.rename_classes(root, mappings.read(mapping) if mapping else {}, dry_run=dry_run)
    if as_json:
        screen.as_json({"path": root, "renamed": {str(r.old): str(r.new) for r in outcome.renames},
                        "finished": outcome.finished, "already": outcome.already, "undo": undo,
                        "dry_run": dry_run})  # fmt: skip
        return
    if outcome.finished:
        first = "An interrupted call is to be finished first" if dry_run else "Finished what was interrupted"
        click.echo(f"{first}: {outcome.finished}.")
    for old, new in outcome.already.items():
        click.echo(f"Done earlier: {old} → {new}")
    if outcome.renames:
        screen.table(("CLASS", "NEW NAME"), [(str(r.old), str(r.new)) for r in outcome.renames])
        would = "Would rename" if dry_run else "Renamed"
        click.echo(f"{would} {counted(len(outcome.renames), 'folder')} in {root}{' back' if undo else ''}.")
    elif not outcome.finished:
        click.echo("Nothing to rename: every class has its name.")
    if outcome.renames and not dry_run:
        undoing = [] if undo else ["trainer data rename-classes {} --undo    (takes it back)"]
        next_steps(root, "trainer data validate {}", *undoing, train=False)


@data.command(
    short_help="Show statistics and draw a contact sheet.", epilog=examples("trainer data stats data_24")
)
@click.argument("dataset", metavar="DATASET", shell_complete=complete_dataset)
@click.option("--target", default="", metavar="COLUMN", shell_complete=complete_column,
              help="Of a table: the column to learn, by whose classes the others are drawn.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Output folder. [default: a new NAME-stats in the workspace's reports/]")  # fmt: skip
@json_option
@click.pass_context
def stats(ctx: click.Context, dataset: str, target: str, output: Path | None, as_json: bool) -> None:
    """Count the images of each class, and draw class balance and a contact sheet.

    Of a table, list what is in each column, and draw it, and how the numbers correlate.
    """
    from trainer.datasets import folders
    from trainer.datasets.build.copying import size
    from trainer.datasets.statistics import summary as use_case
    from trainer.datasets.tables import files

    root = folders.existing(dataset, or_table=True)
    only_of(ctx, bool(files.of(root)), tables=("target",))
    folder = output or use_case.free_place(root, ctx.with_resource(_reports()))
    if files.of(root):
        tables.print_stats(tables.one_file(root), target, folder, as_json=as_json)
        if not as_json:
            next_steps(root, column=target or "COLUMN")
        return
    use_case.check(folder)
    with screen.Bar() as bar:
        measured = use_case.measure(root, bar)
        pictures = use_case.draw(measured, folder, bar)
    if as_json:
        screen.as_json({**measured.as_json(), "pictures": pictures})
        return
    rows = [
        (c.name, f"{c.images:,}", *(f"{c.splits[s]:,}" for s in measured.splits), f"{c.share:.1%}",
         "x".join(map(str, c.median_size)) if c.median_size else "-", size(c.bytes))
        for c in measured.classes
    ]  # fmt: skip
    all_splits = [f"{sum(c.splits[s] for c in measured.classes):,}" for s in measured.splits]
    rows.append(("all", f"{measured.images:,}", *all_splits, "", "", size(measured.bytes)))
    screen.table(
        ("CLASS", "IMAGES", *(split.upper() for split in measured.splits), "SHARE", "MEDIAN SIZE", "BYTES"),
        rows,
        numbers=4 + len(measured.splits),
    )
    if measured.beside:
        click.echo(f"Beside the splits, and no part of it: {', '.join(measured.beside)}")
    if measured.unreadable:
        click.echo(
            f"Images that cannot be read: {len(measured.unreadable)}, the first is {measured.unreadable[0]}"
        )
    click.echo()
    for picture in pictures:
        click.echo(f"Drew {picture}")
    next_steps(root)


def _reports() -> AbstractContextManager[Path]:
    """The workspace's reports/; the current folder where there is no workspace."""
    from trainer.workspace import reports
    from trainer.workspace.settings import find

    try:
        return reports.folder(find())
    except TrainerError:
        return nullcontext(Path.cwd())


for command in (diff, import_, list_, sample, show, snapshot, split, subset, validate, verify):
    data.add_command(command)
