"""`trainer runs`: the runs on the tracking server."""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer import printable
from trainer.cli import figures, output
from trainer.cli.commands import misspelt
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.runs.completion import complete_project
from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from rich.text import Text

    from trainer.cli.runs.runs.columns import Column
    from trainer.tracking.client import Client
    from trainer.tracking.search import Entry, Query

_SHOWN = 20
_MARK = "*"  # of a run of which something was refused
# Of a run's id and tags: what of it was refused.
Refused = Callable[[str, Mapping[str, str]], str | None]
_PATIENCE_S = 1.5  # of somebody who has pressed Tab


def _figure_names(ctx: click.Context, beginning: str) -> tuple[list[str], list[str]]:
    """Metrics and parameters of the project that was named before; those of the machine only where meant."""
    from trainer import concurrency
    from trainer.server import selection
    from trainer.tracking import search

    # While the option lacks its value, click leaves the arguments before it where they were.
    project = next((str(name) for name in (ctx.params.get("project"), *ctx.args) if name), None)
    try:
        client = selection.running(find())
        if client is None:
            return [], []
        names_found = concurrency.call_with_timeout(_PATIENCE_S, lambda: search.figure_names(client, project))
    except (TrainerError, TimeoutError, OSError):
        return [], []
    metrics, parameters = (
        [name for name in names if beginning.startswith("system") or not name.startswith("system/")]
        for names in names_found
    )
    return metrics, parameters


def complete_sort(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The metrics of the newest runs, and what every run has."""
    metrics, _parameters = _figure_names(ctx, incomplete)
    return _items(["start", "duration", *metrics], "", incomplete)


def complete_columns(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The metrics and parameters of the newest runs, after what stands before the last comma."""
    before, comma, last = incomplete.rpartition(",")
    metrics, parameters = _figure_names(ctx, last)
    chosen = before.split(",")
    names = [name for name in dict.fromkeys([*metrics, *parameters]) if name not in chosen]
    return _items(names, before + comma, last)


def _items(names: Sequence[str], before: str, beginning: str) -> list[CompletionItem]:
    """Names that no shell would have to quote."""
    return [
        CompletionItem(before + name)
        for name in names
        if name.startswith(beginning) and re.fullmatch(r"[\w./@%+-]+", name)
    ]


@click.command(
    "list",
    short_help="List the runs on the tracking server.",
    epilog=examples(
        "trainer runs list sklearn --sort -accuracy --limit 5",
        "trainer runs list --filter \"metrics.accuracy > 0.9 AND params.seed = '0'\" --columns accuracy,seed",
    ),
)
@click.argument("project", required=False, shell_complete=complete_project)
@click.option("--filter", "condition", default="", metavar="EXPR", help="A filter in MLflow's search syntax.")
@click.option(
    "--sort", default="-start", show_default=True, metavar="METRIC", shell_complete=complete_sort,
    help="A metric, `start` or `duration`; -METRIC puts the highest first.",
)  # fmt: skip
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=_SHOWN,
    show_default=True,
    help="Maximum number of runs; 0 for all.",
)
@click.option(
    "--columns",
    default="",
    metavar="A,B",
    shell_complete=complete_columns,
    help="Metrics, parameters or tags to show instead of the default ones.",
)
@click.option("--deleted", is_flag=True, help="List the deleted runs.")
@click.option("--evaluations", is_flag=True, help="Also list the evaluations of registered models.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with everything of each run.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print as CSV; without --columns every metric and parameter."
)
@tracking_option
@pass_workspace
def list_(
    workspace: Workspace, project: str | None, condition: str, sort: str, limit: int, columns: str,
    deleted: bool, evaluations: bool, as_json: bool, as_csv: bool,
) -> None:  # fmt: skip
    """List the runs on the tracking server that runs report to, the newest first.

    PROJECT is the name of a project or of an experiment. The usual columns are a few metrics that most of the
    runs share; the machine's own (system/…) are not among them. A status with * is that of a run of which the
    server refused something.
    """
    from trainer.cli.runs.runs import columns as run_columns
    from trainer.counted import counted
    from trainer.server import selection
    from trainer.tracking import search
    from trainer.workspace import refusals

    if as_json and as_csv:
        raise InvalidInput("--json and --csv cannot both be printed.", "Choose one of them.")
    client, _ = selection.existing(workspace)
    query_limit = limit + 1 if limit else None
    query = search.Query(project, condition, sort, query_limit, deleted, evaluations)
    try:
        entries = search.search(client, query)
    except search.NoSuchProject as error:
        raise misspelt(click.get_current_context(), project or "") or error from None
    shown = entries[:limit] if limit else entries
    names = [name for part in columns.split(",") if (name := part.strip())]
    chosen = run_columns.chosen(shown, names)
    now, refused = time.time(), refusals.describer(workspace)
    if as_json:
        output.as_json([_everything(entry, chosen, now, refused) for entry in shown])
    elif as_csv:
        every = [
            column for key, column in run_columns.available(shown).items() if not key.startswith("tags.")
        ]
        _print_csv(
            shown,
            chosen or [column for column in every if not column.name.startswith("system/")],
            now,
            refused,
        )
    elif not shown:
        click.echo("No runs.")
    else:
        by = sort.removeprefix("-")
        print_table(
            shown, chosen or run_columns.informative(shown, by), now, refused, least=None if chosen else 1
        )
        if marked := [entry.run.id for entry in shown if refused(entry.run.id, entry.run.tags) is not None]:
            of = counted(len(marked), "run")
            click.echo(
                f"{_MARK} The server refused something of {of}: trainer show {marked[0][:8]}", err=True
            )
    if len(entries) > len(shown):
        click.echo(f"There are more than these {limit}: --limit 0 shows all.", err=True)
    if not (project or as_json or as_csv):
        _tell_what_is_missing(workspace, client, query)


def _tell_what_is_missing(workspace: Workspace, client: Client, query: Query) -> None:
    """What is not in the list of all runs."""
    from trainer.counted import counted
    from trainer.tracking import search
    from trainer.workspace import run_folders

    if not query.evaluations and (left_out := search.evaluations(client, query)):
        output.tell(f"Not listed: {counted(left_out, 'run')} with evaluations of models (--evaluations).")
    if waiting := len(run_folders.undelivered(workspace)):
        output.tell(f"Not all of {counted(waiting, 'run')} is on the server yet: trainer sync")
    if unattended := run_folders.without_launcher(workspace):
        output.tell(f"{counted(unattended, 'run')} lost the launcher and may have ended: trainer ps")


def print_table(
    entries: Sequence[Entry], columns: Sequence[Column], now: float, refused: Refused, *, least: int | None
) -> None:
    """`least`: so many of `columns` are shown, however narrow the terminal is; None for all."""
    from trainer.tracking import search

    headings = ["STATUS", "RUN", "ID", "PROJECT", "AGE", "TOOK", *(column.name for column in columns)]
    rows: list[Sequence[str | Text]] = [
        (
            output.coloured(
                entry.run.status + (_MARK if refused(entry.run.id, entry.run.tags) else ""),
                figures.status_colour(entry.run.status),
            ),
            printable.line(entry.run.name),
            entry.run.id[:8],
            printable.line(entry.project),
            "" if entry.run.started is None else figures.ago(now - entry.run.started),
            figures.duration(search.duration(entry.run, now)),
            *(column.text(entry) for column in columns),
        )
        for entry in entries
    ]
    fixed = len(headings) - len(columns)
    output.table(headings, rows, numbers=len(columns) + 2, least=None if least is None else fixed + least)


def _fixed(entry: Entry, now: float, refused: Refused) -> dict[str, str | float | None]:
    from trainer.tracking import search

    run = entry.run
    took = search.duration(run, now)
    return {
        "run_id": run.id,
        "name": run.name,
        "project": entry.project,
        "experiment": entry.experiment,
        "status": run.status,
        "started": run.started,
        "duration_seconds": None if took is None else round(took, 3),
        "refused": refused(run.id, run.tags),
    }


def _everything(entry: Entry, columns: Sequence[Column], now: float, refused: Refused) -> dict[str, object]:
    run = entry.run
    if columns:
        return {
            **_fixed(entry, now, refused),
            **{column.name: output.finite(column.value(entry)) for column in columns},
        }
    return {
        **_fixed(entry, now, refused),
        "metrics": {name: output.finite(value) for name, value in run.metrics.items()},
        "parameters": dict(run.parameters),
        "url": run.url,
    }


def _print_csv(entries: Sequence[Entry], columns: Sequence[Column], now: float, refused: Refused) -> None:
    if not entries:
        return
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow([*_fixed(entries[0], now, refused), *(column.name for column in columns)])
    for entry in entries:
        written.writerow(
            [*_fixed(entry, now, refused).values(), *(column.value(entry) for column in columns)]
        )
