"""`trainer data validate`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from trainer.cli import output as screen
from trainer.cli.data.arguments import complete_column, complete_dataset, json_option, next_steps, only_of
from trainer.cli.examples import examples
from trainer.counted import counted
from trainer.errors import CheckFailed

if TYPE_CHECKING:
    from trainer.datasets.findings import Finding as ImageFinding
    from trainer.datasets.tables.findings import Finding as TableFinding
    from trainer.datasets.verdict import Verdict

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_SHOWN, _SHOWN_PATHS = 5, 3


@click.command(
    short_help="Check for broken files, duplicates and leaks.",
    epilog=examples(
        "trainer data validate data_24 --all", "trainer data validate customers.csv --target churned"
    ),
)
@click.argument("dataset", metavar="DATASET", shell_complete=complete_dataset)
@click.option("--near", type=click.IntRange(0, 16), default=4, show_default=True, metavar="BITS",
              help="How many of 64 bits may differ between near duplicates.")  # fmt: skip
@click.option("--min-images", "--min-rows", type=click.IntRange(1), default=10, show_default=True,
              help="Warn about classes with fewer images, or rows.")  # fmt: skip
@click.option("--white", type=click.FloatRange(0, min_open=True), metavar="VALUE",
              help="Value that is white in images of more than 8 bits. [default: found in them]")  # fmt: skip
@click.option("--target", default="", metavar="COLUMN", shell_complete=complete_column,
              help="Of a table: the column to learn. Check its classes, and what gives it away.")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Print all findings, not the first few of each kind.")
@json_option
@click.pass_context
def validate(
    ctx: click.Context, dataset: str, near: int, min_images: int, white: float | None, target: str,
    everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check a dataset for broken files, duplicates and leaks between splits.

    Also for wrong suffixes, small and empty classes, and files that are not images. Of a table: for rows that
    are broken, empty or there twice, and for columns that a training cannot use. Nothing is changed. Exit
    code 89 if there are errors; warnings and notes are not failures.
    """
    from trainer.datasets import folders
    from trainer.datasets.findings import Severity
    from trainer.datasets.tables import files
    from trainer.datasets.tables import validate as tables
    from trainer.datasets.validate import validate as check

    root = folders.existing(dataset, or_table=True)
    is_table = bool(files.of(root))
    only_of(ctx, is_table, images=("near", "white"), tables=("target",))
    verdict: Verdict[TableFinding] | Verdict[ImageFinding]
    with screen.Bar() as bar:
        if is_table:
            verdict = tables.validate(root, target, min_images, bar)
        else:
            verdict = check(root, near, min_images, bar, folders.mounts(root), white)
    if as_json:
        screen.as_json(verdict.as_json())
    else:
        _print(shlex.quote(dataset), verdict, everything=everything)
    if errors := verdict.count(Severity.ERROR):
        raise CheckFailed(
            f"{counted(errors, 'error')} in {root}.", _hint(verdict, is_table, everything or as_json)
        )
    if not as_json:
        learnt = f" --target {shlex.quote(target)}" if target else ""
        next_steps(root, f"trainer data stats {{}}{learnt}", train=False)


def _hint(verdict: Verdict[TableFinding] | Verdict[ImageFinding], is_table: bool, are_all: bool) -> str:
    """What to do about errors; what is wrong with a whole table names no line."""
    from trainer.datasets.findings import Severity
    from trainer.datasets.tables.findings import Finding

    errors = [found for found in verdict.findings if found.kind.severity is Severity.ERROR]
    if is_table and not any(isinstance(found, Finding) and found.lines for found in errors):
        return "Do what is said above."
    more = "." if are_all else "; --all names every one."
    return f"Fix or remove the {'lines' if is_table else 'files'} named above{more}"


def _print(dataset: str, verdict: Verdict[TableFinding] | Verdict[ImageFinding], *, everything: bool) -> None:
    from trainer.datasets.findings import Severity

    for kind, findings in verdict.by_kind().items():
        mark = screen.style(kind.severity, fg=_COLOURS[kind.severity], bold=True)
        click.echo(f"{mark}: {screen.style(str(kind), bold=True)} ({len(findings):,})")
        shown = findings if everything else findings[:_SHOWN]
        for finding in shown:
            if line := finding.line(None if everything else _SHOWN_PATHS):
                click.echo(f"    {line}")
        if len(shown) < len(findings):
            click.echo(f"    … and {len(findings) - len(shown):,} more (--all)")
        if kind.fix:
            click.echo(f"  → {kind.fix.replace('DIR', dataset)}")
    if verdict.findings:
        click.echo()
        screen.table(
            ("FINDING", "SEVERITY", "COUNT"),
            [
                (str(kind), kind.severity, f"{len(findings):,}")
                for kind, findings in verdict.by_kind().items()
            ],
            numbers=1,
        )
        click.echo()
    counts = [counted(verdict.count(severity), severity) for severity in Severity if verdict.count(severity)]
    found = ", ".join(counts) or "nothing found"
    click.echo(f"{verdict.subject}: {found}.")
