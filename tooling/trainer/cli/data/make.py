"""`trainer data sample`, `subset` and `split`: commands that make a new dataset."""

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
    warn_of_links,
)
from trainer.counted import counted

_SHOWN = 3  # of the files that are left out

if TYPE_CHECKING:
    from trainer.datasets.build.copying import Copies, Link


@click.command(
    short_help="Create a dataset of synthetic skin images.",
    epilog="Example: trainer data sample demo --classes 4 --images 40",
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
@dry_run_option
@json_option
def sample(
    name: str,
    classes: int,
    images: int,
    size: int,
    seed: int,
    as_downloaded: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create a dataset NAME of synthetic skin images, to try things with."""
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


@click.command(
    "import",
    short_help="Import a download as a dataset.",
    epilog="Examples: trainer data import ~/Downloads/dermnet.zip --as data_24\n\n"
    "trainer data import /mnt/old/images --as data_24 --dry-run",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, metavar="NAME", help="The dataset's name in data/, or a path.")
@link_option
@dry_run_option
@json_option
def import_(source: Path, name: str, link: str, dry_run: bool, as_json: bool) -> None:
    """Import SOURCE, a folder with a folder of images per class or a ZIP archive of one, as a dataset.

    SOURCE stays as it is. Classes get the names that `rename-classes` gives, files that are not images are
    left out, and folders around the classes are too.
    """
    from trainer.datasets import folders
    from trainer.datasets.build import imported
    from trainer.workspace.settings import find

    goal = folders.new(name)
    with output.Bar() as bar, imported.unpacked(find(), source.expanduser(), bar) as root:
        # What was unpacked here is nobody else's file.
        is_own = root != source.expanduser() and root.stat().st_dev == _device(goal)
        planned = imported.plan(root, "hard" if is_own else cast("Link", link))
        if dry_run:
            planned.copies.check(goal)
        else:
            planned.copies.make(goal, bar)
    warn_of_links("copy" if is_own else link)
    if as_json:
        output.as_json(
            {
                **_as_json(planned.copies, goal, dry_run),
                "source": source,
                "inner_folder": planned.inner,
                "classes": {
                    new: {"was": old, "images": planned.counts[new]} for old, new in planned.classes.items()
                },
                "left_out": planned.left_out,
            }
        )
        return
    rows = [
        (new, f"{planned.counts[new]:,}", "" if old == new else old) for old, new in planned.classes.items()
    ]
    output.table(("CLASS", "IMAGES", "WAS"), rows, numbers=1)
    if planned.inner:
        click.echo(f"The classes are in the folder {planned.inner} of it.")
    if planned.left_out:
        some = ", ".join(map(str, planned.left_out[:_SHOWN])) + (
            ", …" if len(planned.left_out) > _SHOWN else ""
        )
        click.echo(f"Files that are not images, and left out: {len(planned.left_out):,} ({some})")
    verb = "Would make" if dry_run else "Made"
    images = counted(len(planned.copies.files), "image")
    click.echo(f"{verb} {goal}: {images} in {counted(len(planned.counts), 'class')}")
    if not dry_run:
        next_steps(goal, "trainer data validate {}")


def _device(target: Path) -> int:
    return next(folder for folder in target.parents if folder.exists()).stat().st_dev


@click.command(
    short_help="Make a dataset from some classes of another.",
    epilog="Example: trainer data subset data_24 data_4 --classes first:3,healthy_skins",
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
    _make(selection.copies, goal, dry_run=dry_run)
    if as_json:
        output.as_json({**_as_json(selection.copies, goal, dry_run), "classes": selection.counts})
        return
    output.table(("CLASS", "IMAGES"), [(name, f"{n:,}") for name, n in selection.counts.items()], numbers=1)
    _print_result(selection.copies, goal, selection.left_out, dry_run, "trainer data stats {}")


@click.command(
    short_help="Split a dataset into train, validation and test.",
    epilog="Example: trainer data split data_24 data_24_split --train 0.8 --validation 0.1 --test 0.1",
)
@click.argument("source", shell_complete=complete_dataset)
@click.argument("target")
@click.option(
    "--train", type=click.FloatRange(0, 1), default=0.7, show_default=True, help="Fraction for training."
)
@click.option("--validation", type=click.FloatRange(0, 1), default=0.15, show_default=True,
              help="Fraction for validation.")  # fmt: skip
@click.option(
    "--test", type=click.FloatRange(0, 1), default=0.15, show_default=True, help="Fraction for testing."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Random seed.",
)
@link_option
@dry_run_option
@json_option
def split(
    source: str, target: str, train: float, validation: float, test: float, seed: int, link: str,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make TARGET with the images of SOURCE in train/, validation/ and test/.

    Each class is split by these fractions. Identical images stay in one split.
    """
    from trainkit.data.image_folder import TEST, TRAIN, VALIDATION

    from trainer.datasets import folders
    from trainer.datasets.build import split

    root, goal = folders.existing(source), folders.new(target)
    shares = {TRAIN: train, VALIDATION: validation, TEST: test}
    with output.Bar() as bar:
        division = split.plan(root, shares, seed, cast("Link", link), bar)
    copies = division.copies
    _make(copies, goal, dry_run=dry_run)
    splits = [name for name, share in shares.items() if share > 0]
    counts = {name: division.folder.counts(name) for name in splits}
    if as_json:
        output.as_json({**_as_json(copies, goal, dry_run), "splits": counts})
        return
    rows = [(label, [counts[name][label] for name in splits]) for label in division.folder.classes]
    rows.append(("all", [sum(counts[name].values()) for name in splits]))
    output.table(
        ("CLASS", *(name.upper() for name in splits), "ALL"),
        [(label, *(f"{n:,}" for n in numbers), f"{sum(numbers):,}") for label, numbers in rows],
        numbers=len(splits) + 1,
    )
    _print_result(copies, goal, len(division.folder.passed_over), dry_run, "trainer data validate {}")


def _make(copies: Copies, target: Path, *, dry_run: bool) -> None:
    warn_of_links(copies.link)
    if dry_run:
        copies.check(target)
        return
    with output.Bar() as bar:
        copies.make(target, bar)


def _as_json(copies: Copies, target: Path, dry_run: bool) -> dict[str, object]:
    return {"path": target, "source": copies.source, "images": len(copies.files), "bytes": copies.bytes,
            "link": copies.link, "dry_run": dry_run}  # fmt: skip


def _print_result(copies: Copies, target: Path, skipped: int, dry_run: bool, step: str) -> None:
    from trainer.datasets.build.copying import size

    if skipped:
        click.echo(f"Files that are no images, and left out: {skipped:,}")
    done = {"copy": "copied", "reflink": "cloned", "hard": "hard-linked"}[copies.link]
    verb = "Would make" if dry_run else "Made"
    click.echo(f"{verb} {target}: {counted(len(copies.files), 'image')} {done}, {size(copies.bytes)}")
    if not dry_run:
        next_steps(target, step)
