"""`trainer data sample` and `subset`: commands that make a new dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from trainer.cli import output
from trainer.cli.data.arguments import (
    complete_classes,
    complete_dataset,
    dry_run_option,
    json_option,
    link_option,
    next_steps,
    only_of,
    warn_of_links,
)
from trainer.cli.examples import examples
from trainer.counted import counted

if TYPE_CHECKING:
    from trainer.datasets.build.copying import Copies, Link


@click.command(
    short_help="Create a synthetic dataset.",
    epilog=examples(
        "trainer data sample demo --classes 4 --images 40", "trainer data sample --table customers.csv"
    ),
)
@click.argument("name")
@click.option(
    "--classes", type=click.IntRange(2, 24), default=4, show_default=True, help="Number of classes."
)
@click.option("--images", type=click.IntRange(1, 100_000), default=40, show_default=True,
              help="Number of images per class.")  # fmt: skip
@click.option(
    "--size", type=click.IntRange(16, 2048), default=96, show_default=True, help="Width and height."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Random seed.",
)
@click.option("--as-downloaded", is_flag=True, help='Name classes as DermNet does: "Eczema Photos".')
@click.option("--table", is_flag=True, help="Create a CSV file of synthetic customers instead.")
@click.option("--rows", type=click.IntRange(10, 1_000_000), default=1000, show_default=True,
              help="Number of rows of a table.")  # fmt: skip
@dry_run_option
@json_option
@click.pass_context
def sample(
    ctx: click.Context,
    name: str,
    classes: int,
    images: int,
    size: int,
    seed: int,
    as_downloaded: bool,
    table: bool,
    rows: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create a dataset NAME of synthetic skin images, to try things with.

    With --table, a CSV file of customers: numbers, categories, a date, an id, a text, missing cells, and the
    column churned, which is there to be learnt.
    """
    only_of(ctx, table, images=("classes", "images", "size", "as_downloaded"), tables=("rows",))
    if table:
        _sample_table(name, rows, seed, dry_run=dry_run, as_json=as_json)
        return
    from trainer.datasets import folders
    from trainer.datasets.build import building
    from trainer.datasets.synthetic.sample import Sample

    request = Sample(classes, images, size, seed, as_downloaded)
    target = folders.new(name)
    if dry_run:
        building.check(target, request.plan())
    else:
        with output.Bar() as bar:
            request.make(target, bar)
    if as_json:
        output.as_json({"path": target, "classes": request.class_names(), "images": classes * images,
                        "dry_run": dry_run})  # fmt: skip
        return
    size_said = f"{counted(classes, 'class')} of {counted(images, 'image')}, {size}x{size} pixels"
    click.echo(f"{'Would make' if dry_run else 'Made'} {target}: {size_said}")
    if not dry_run:
        renaming = ["trainer data rename-classes {}"] if as_downloaded else []
        next_steps(target, *renaming, "trainer data stats {}")


def _sample_table(name: str, rows: int, seed: int, *, dry_run: bool, as_json: bool) -> None:
    from trainer.datasets import folders
    from trainer.datasets.build import building
    from trainer.datasets.synthetic.customers import HEADER, Customers

    request = Customers(rows, seed)
    target = request.target(folders.new(name))
    if dry_run:
        building.check_new(target)
    else:
        request.make(target)
    if as_json:
        output.as_json({"path": target, "rows": rows, "columns": HEADER, "dry_run": dry_run})
        return
    verb = "Would make" if dry_run else "Made"
    click.echo(f"{verb} {target}: {counted(rows, 'row')}, {counted(len(HEADER), 'column')}")
    if not dry_run:
        next_steps(target, "trainer data stats {} --target churned", column="churned")


@click.command(
    short_help="Make a dataset from some classes of another.",
    epilog=examples("trainer data subset data_24 data_4 --classes first:3,healthy_skins"),
)
@click.argument("source", shell_complete=complete_dataset)
@click.argument("target")
@click.option(
    "--classes",
    "wanted",
    multiple=True,
    required=True,
    metavar="NAMES",
    shell_complete=complete_classes,
    help="Names, patterns like 'Lupus*', or first:3 for the first three; with commas between.",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    metavar="N",
    help="Maximum number of images per class (and split), evenly spaced. [default: all]",
)
@link_option
@dry_run_option
@json_option
def subset(
    source: str,
    target: str,
    wanted: tuple[str, ...],
    images: int | None,
    link: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make TARGET from some classes of SOURCE, whose files stay as they are."""
    from trainer.datasets import folders
    from trainer.datasets.build import subset

    root, goal = folders.existing(source), folders.new(target)
    selection = subset.plan(root, wanted, images, cast("Link", link))
    make_copies(selection.copies, goal, dry_run=dry_run)
    if as_json:
        output.as_json({**copies_as_json(selection.copies, goal, dry_run), "classes": selection.counts})
        return
    output.table(("CLASS", "IMAGES"), [(name, f"{n:,}") for name, n in selection.counts.items()], numbers=1)
    print_result(selection.copies, goal, selection.left_out, dry_run, "trainer data stats {}")


def make_copies(copies: Copies, target: Path, *, dry_run: bool) -> None:
    """Make a dataset of copies, or only check that it could be made; with what is to be said of links."""
    warn_of_links(copies.link)
    if dry_run:
        copies.check(target)
        return
    with output.Bar() as bar:
        copies.make(target, bar)


def copies_as_json(copies: Copies, target: Path, dry_run: bool) -> dict[str, object]:
    """What `--json` says of any dataset of copies."""
    return {"path": target, "source": copies.source, "images": len(copies.files), "bytes": copies.bytes,
            "link": copies.link, "dry_run": dry_run}  # fmt: skip


def print_result(copies: Copies, target: Path, skipped: int, dry_run: bool, step: str) -> None:
    """Print what was made, or would be, and the command `step` to use next."""
    from trainer.datasets.build.copying import size

    if skipped:
        click.echo(f"Files that are no images, and left out: {skipped:,}")
    done = {"copy": "copied", "reflink": "cloned", "hard": "hard-linked"}[copies.link]
    verb = "Would make" if dry_run else "Made"
    click.echo(f"{verb} {target}: {counted(len(copies.files), 'image')} {done}, {size(copies.bytes)}")
    if not dry_run:
        next_steps(target, step)
