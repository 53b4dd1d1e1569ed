"""`trainer data split`: a dataset of images, or a table, divided into train, validation and test."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from trainer.cli import output
from trainer.cli.data import tables
from trainer.cli.data.arguments import (
    complete_column,
    complete_dataset,
    dry_run_option,
    json_option,
    link_option,
    next_steps,
    only_of,
)
from trainer.cli.data.make import copies_as_json, make_copies, print_result
from trainer.cli.examples import examples
from trainer.counted import counted

if TYPE_CHECKING:
    from trainer.datasets.build.copying import Link
    from trainer.datasets.tables.split import Division

_CLOSE = 0.05  # how far a split's share may be from what was asked for, without a word


@click.command(
    short_help="Split a dataset into train, validation and test.",
    epilog=examples(
        "trainer data split data_24 data_24_split --train 0.8 --validation 0.1 --test 0.1",
        "trainer data split customers.csv customers --target churned --group customer_id",
    ),
)
@click.argument("source", shell_complete=complete_dataset)
@click.argument("target", metavar="NEW")
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
@click.option("--target", "column", default="", metavar="COLUMN", shell_complete=complete_column,
              help="Of a table: split each class of this column by the fractions.")  # fmt: skip
@click.option("--group", default="", metavar="COLUMN", shell_complete=complete_column,
              help="Of a table: keep rows with the same value in this column together.")  # fmt: skip
@link_option
@dry_run_option
@json_option
@click.pass_context
def split(
    ctx: click.Context, source: str, target: str, train: float, validation: float, test: float, seed: int,
    column: str, group: str, link: str, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make NEW with the images of SOURCE in train/, validation/ and test/.

    Each class is split by these fractions. Identical images stay in one split. Of a table, NEW has the files
    train.csv, validation.csv and test.csv, and identical rows stay in one split.
    """
    from trainkit.data.image_folder import TEST, TRAIN, VALIDATION

    from trainer.datasets import folders
    from trainer.datasets.build import split
    from trainer.datasets.tables import files

    root, goal = folders.existing(source, or_table=True), folders.new(target)
    shares = {TRAIN: train, VALIDATION: validation, TEST: test}
    is_table = bool(files.of(root))
    only_of(ctx, is_table, images=("link",), tables=("column", "group"))
    if is_table:
        _split_table(root, goal, shares, seed, column, group, dry_run=dry_run, as_json=as_json)
        return
    with output.Bar() as bar:
        division = split.plan(root, shares, seed, cast("Link", link), bar)
    copies = division.copies
    make_copies(copies, goal, dry_run=dry_run)
    splits = [name for name, share in shares.items() if share > 0]
    counts = {name: division.folder.counts(name) for name in splits}
    if as_json:
        output.as_json({**copies_as_json(copies, goal, dry_run), "splits": counts})
        return
    by_class = {label: {name: counts[name][label] for name in splits} for label in division.folder.classes}
    _print_counts("CLASS", splits, by_class)
    print_result(copies, goal, len(division.folder.passed_over), dry_run, "trainer data validate {}")


def _split_table(
    root: Path, goal: Path, shares: Mapping[str, float], seed: int, column: str, group: str,
    *, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    from trainer.datasets import folders
    from trainer.datasets.tables import split

    with output.Bar() as bar:
        division = split.plan(split.Request(tables.one_file(root), shares, seed, column, group), bar)
    if dry_run:
        division.check(goal)
    else:
        with output.Bar() as bar:
            division.make(goal, bar)
    _warn_of_shares(division)
    if as_json:
        counts = {name: {label: n[name] for label, n in division.counts.items()} for name in division.names}
        output.as_json({"path": goal, "source": root, "rows": len(division.splits), "splits": counts,
                        "empty_rows": division.empty, "dry_run": dry_run})  # fmt: skip
        return
    by_class = {label or "(missing)": n for label, n in division.counts.items()}
    _print_counts(column, division.names, by_class if column else {"rows": division.counts[""]})
    if division.empty:
        click.echo(f"Rows without a value, and left out: {division.empty:,}")
    if division.alone:
        click.echo(f"Rows without a value of {group}, each a group by itself: {division.alone:,}")
    groups = f" of {counted(division.groups, 'group')}" if group else ""
    verb = "Would make" if dry_run else "Made"
    files = ", ".join(f"{name}{root.suffix}" for name in division.names)
    click.echo(f"{verb} {goal}: {counted(len(division.splits), 'row')}{groups} in {files}")
    if not dry_run:
        first = goal / f"{division.names[0]}{root.suffix}"
        next_steps(
            first, f"trainer data validate {shlex.quote(folders.argument(goal))}", column=column or "COLUMN"
        )


def _warn_of_shares(division: Division) -> None:
    """Say where whole groups made the splits larger or smaller than was asked for."""
    asked, got = division.request.shares, division.shares
    if any(abs(got[name] - asked[name]) > _CLOSE for name in division.names):
        parts = ", ".join(f"{name} {got[name]:.0%} for {asked[name]:.0%}" for name in division.names)
        click.echo(
            f"{output.style('Warning:', fg='yellow', bold=True)} the shares are not as asked for: {parts}.",
            err=True,
        )


def _print_counts(heading: str, splits: list[str], counts: Mapping[str, Mapping[str, int]]) -> None:
    rows = [(label, [numbers[name] for name in splits]) for label, numbers in counts.items()]
    if heading:
        rows.append(("all", [sum(numbers[name] for numbers in counts.values()) for name in splits]))
    output.table(
        (heading, *(name.upper() for name in splits), "ALL"),
        [(label, *(f"{n:,}" for n in numbers), f"{sum(numbers):,}") for label, numbers in rows],
        numbers=len(splits) + 1,
    )
