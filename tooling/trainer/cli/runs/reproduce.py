"""`trainer reproduce`: make a run again, and compare the metrics of both."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import consent, figures, output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.queue.next import start_next
from trainer.cli.runs.argument import run_argument
from trainer.errors import NotReproduced
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from rich.text import Text

    from trainer.runs.export import Export
    from trainer.runs.launch import Result
    from trainer.runs.reproduce import Reproduction
    from trainer.tracking.tolerance import Compared

_COLOURS = {"equal": "green", "within tolerance": "green", "differs": "red", "not compared": "dim"}


@click.command(
    short_help="Repeat a run and compare its metrics.",
    epilog=examples(
        "trainer reproduce @last",
        "trainer reproduce brave-hen-7 --tolerance 1% --tolerance loss=0.05",
        "trainer reproduce 3f4c --export brave-hen",
    ),
)
@run_argument()
@click.option(
    "--tolerance", "said_tolerances", multiple=True, metavar="[METRIC=]AMOUNT",
    help="How much metrics may differ: 0.01, or 1% of the old value; for one metric or for all. [default: 0]",
)  # fmt: skip
@click.option(
    "--export", "place", type=click.Path(path_type=Path), metavar="DIR",
    help="Run nothing; write a folder from which anyone who has Docker can repeat the run.",
)  # fmt: skip
@click.option("--with-data", is_flag=True, help="With --export: copy the run's datasets into it.")
@click.option("--yes", is_flag=True, help=consent.YES)
@click.option("--dry-run", is_flag=True, help="Show what would be run, and what is different; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@pass_workspace
def reproduce(
    workspace: Workspace, said: str, said_tolerances: tuple[str, ...], place: Path | None, with_data: bool,
    yes: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Repeat RUN from what was recorded with it, and compare every final metric of both runs.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. The new run gets the recorded code,
    image, parameters and seed; its data must have the recorded digest. An image that is gone is built from
    the recorded lock. What is not available is reported before anything runs. The exit code is 0 where the
    metrics agree and 1 where they do not; times and speeds are not compared.
    """
    from trainer.runs import export, resolve, stored_run
    from trainer.runs import reproduce as use_case
    from trainer.tracking import tolerance

    record = resolve.resolve(workspace, said)
    with (
        Progress(sys.stderr.buffer if as_json else None) as progress,
        stored_run.fetched(workspace, record, progress.step) as stored,
    ):
        tolerances = tolerance.tolerances(said_tolerances, stored.run.metrics)
        if place:
            written = export.write(
                workspace, stored, place, progress.step, with_data=with_data, dry_run=dry_run
            )
            progress.stop()
            _print_export(written, as_json=as_json, dry_run=dry_run)
            return
        reproduction = use_case.check(workspace, stored, progress.step)
        if dry_run:
            progress.stop()
            _print_plan(reproduction, as_json)
            return
        progress.stop()
        allowed = consent.allowed(workspace, reproduction.plan, yes=yes)
        start_next(workspace)
        result = use_case.reproduce(workspace, reproduction, progress, allowed)
        compared = use_case.compare(stored, result, tolerances)
    _print_result(reproduction, result, compared, as_json)
    if result.error:
        raise result.error
    if not tolerance.agree(compared):
        names = ", ".join(metric.row.name for metric in compared if metric.verdict == "differs")
        raise NotReproduced(
            f"The run {result.run.name} differs from {stored.run.name} in {names}.",
            f"`trainer compare {stored.run.id[:8]} {result.run.id[:8]}` shows more; "
            "--tolerance says how much is too much.",
        )


def _print_export(written: Export, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        output.as_json({"path": written.place.absolute(), "missing": written.missing, "dry_run": dry_run})
        return
    click.echo(f"{'Would write' if dry_run else 'Written:'} {written.place}")
    for missing in written.missing:
        click.echo(
            f"{output.style('To be put there:', bold=True)} {written.place / missing} (or --with-data)"
        )
    if not dry_run:
        click.echo(f"{output.style('Next:', bold=True)} {written.place / 'run.sh'}")


def _print_plan(reproduction: Reproduction, as_json: bool) -> None:
    run, pinned = reproduction.stored.run, reproduction.stored.pins
    payload = {
        "reproduces": run.id,
        "run": run.name,
        "project": pinned.project,
        "command": shlex.join(reproduction.plan.command),
        "image": reproduction.plan.image.tag,
        "image_is_here": reproduction.has_image,
        "data": {dataset.name: dataset.digest for dataset in pinned.data},
        "code_digest": pinned.code_digest,
        "asks_to": list(reproduction.plan.asked.wants),
        "remarks": list(reproduction.remarks),
    }
    if as_json:
        output.as_json(payload)
        return
    rows = [
        ("run", f"{run.name} ({run.id[:8]}) of {pinned.project}"),
        ("command", str(payload["command"])),
        (
            "image",
            f"{reproduction.plan.image.tag}, "
            + (
                "here" if reproduction.has_image else f"gone: to be {' or '.join(reproduction.ways_to_image)}"
            ),
        ),
        ("code", figures.short(pinned.code_digest)),
        *(("data", f"{dataset.name} {figures.short(dataset.digest)}, as it was") for dataset in pinned.data),
        *(("asks to", name) for name in reproduction.plan.asked.wants),
        *(("remark", remark) for remark in reproduction.remarks),
    ]
    output.table(("What", "Would be made again"), [(name, printable.line(text)) for name, text in rows])


def _print_result(
    reproduction: Reproduction, result: Result, compared: Sequence[Compared], as_json: bool
) -> None:
    from trainer.tracking import tolerance

    old = reproduction.stored.run
    agrees: bool | None = result.error is None and tolerance.agree(compared)
    if agrees and tolerance.is_nothing(compared):
        agrees = None
    if as_json:
        output.as_json(
            {
                "run_id": result.run.id,
                "name": result.run.name,
                "reproduces": old.id,
                "status": result.run.status,
                "agrees": agrees,
                "metrics": [
                    {
                        "name": metric.row.name,
                        "old": output.finite(metric.row.values[0]),
                        "new": output.finite(metric.row.values[1]),
                        "difference": output.finite(metric.row.differences[1]),
                        "verdict": metric.verdict,
                    }
                    for metric in compared
                ],
                "url": result.run.url,
                "remarks": list(reproduction.remarks),
                "error": result.error.message if result.error else None,
            }
        )
        return
    click.echo()
    headings = ("Metric", printable.line(old.name), printable.line(result.run.name), "Difference", "")
    output.table(headings, [_row(metric) for metric in compared])
    click.echo()
    colour = "red" if agrees is False else "green" if agrees else "yellow"
    word = "NOT REPRODUCED" if agrees is False else "REPRODUCED" if agrees else "NOTHING TO COMPARE"
    click.echo(f"{output.style(word, fg=colour, bold=True)}  {result.run.name}")
    if result.run.url:
        click.echo(result.run.url)


def _row(metric: Compared) -> tuple[str | Text, ...]:
    # Every digit: that is what is compared.
    old, new = ("-" if value is None else repr(value) for value in metric.row.values)
    return (
        printable.line(metric.row.name),
        old,
        new,
        figures.difference(metric.row.differences[1]) or "-",
        output.coloured(metric.verdict, _COLOURS[metric.verdict]),
    )
