"""`trainer gc`: remove unused files, images and containers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.leftovers import Leftover


@click.command(
    short_help="Remove unused files, images and containers.",
    epilog=examples("trainer gc --dry-run", "trainer gc --cache --older-than 14 --yes"),
)
@click.option(
    "--cache", "of_cache", is_flag=True, help="Also remove cache entries that were not used for a long time."
)
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="Age at which build logs, packed code and cache entries are removed.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed; remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def gc(workspace: Workspace, of_cache: bool, days: float, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove leftovers of killed launches, containers of ended runs, and images of earlier inputs or code.

    With --cache also pixels, features, downloads, models and checkpoints that were not used for long, and
    images that were built long ago from projects' environment files; a run whose checkpoints or whose image
    are gone cannot be resumed. Nothing that a live run uses is removed.
    """
    from trainer.maintenance import gc as use_case
    from trainer.runs import reconcile

    if not dry_run:
        for _ in reconcile.reconcile(workspace):  # the ends of runs are told before their remains go
            pass
    leftovers = use_case.find(workspace, of_cache=of_cache, days=days)
    for note in leftovers.notes:
        click.echo(note, err=True)
    if not as_json:
        _show(leftovers.leftovers)
    removed = []
    if leftovers.leftovers and not dry_run:
        if yes or _confirmed():
            removed = list(use_case.remove(leftovers))
        size = _megabytes(sum(leftover.size for leftover in removed))
        summary = (
            f"Removed {len(removed)} of {len(leftovers.leftovers)}, {size}."
            if removed
            else "Nothing was removed."
        )
        click.echo(summary, err=as_json)
    if as_json:
        output.as_json(
            [{**asdict(leftover), "removed": leftover in removed} for leftover in leftovers.leftovers]
        )


def _confirmed() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(
            "Nothing was removed: there is no terminal to ask for confirmation.", "trainer gc --yes"
        )
    question, answers = "Remove them? [y/N]", {"y": True, "yes": True, "n": False, "no": False, "": False}
    while (answer := click.prompt(question, "", show_default=False, err=True).strip().lower()) not in answers:
        click.echo("Answer y or n.", err=True)
    return answers[answer]


def _show(leftovers: Sequence[Leftover]) -> None:
    if not leftovers:
        click.echo("Nothing to remove.")
        return
    output.table(
        ("WHAT", "NAME", "WHY", "SIZE"),
        [(leftover.kind, leftover.name, leftover.why, _megabytes(leftover.size)) for leftover in leftovers],
        numbers=1,
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
