"""`trainer runs`: the runs on the tracking server."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.commands import misspelt
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.runs.completion import complete_project
from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainer.tracking.client import Client
    from trainer.tracking.search import Query
    from trainer.tracking.search.families import Family

_SHOWN = 20
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
    help="Maximum number of runs, besides those within others; 0 for all.",
)
@click.option(
    "--columns",
    default="",
    metavar="A,B",
    shell_complete=complete_columns,
    help="Metrics, parameters or tags to show instead of the default ones.",
)
@click.option("--children", is_flag=True, help="List runs within others too, below their parents.")
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
    children: bool, deleted: bool, evaluations: bool, as_json: bool, as_csv: bool,
) -> None:  # fmt: skip
    """List the runs on the tracking server that runs report to, the newest first.

    PROJECT is the name of a project or of an experiment. The usual columns are a few metrics that most of the
    runs share; the machine's own (system/…) are not among them. A status with * is that of a run of which the
    server refused something.

    Runs within others (the trials of a sweep, the steps of a script) are counted below their parent, unless
    --filter finds them; JSON and CSV have them behind it, with its id as `parent`.
    """
    from trainer.cli.runs.runs import columns as run_columns
    from trainer.cli.runs.runs import printed
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
        found = _families(client, query)
    except search.NoSuchProject as error:
        raise misspelt(click.get_current_context(), project or "") or error from None
    families = found[:limit] if limit else found
    is_whole = children or as_json or as_csv
    shown = [e for family in families for e in (family.members if is_whole else (family.entry,))]
    names = [name for part in columns.split(",") if (name := part.strip())]
    chosen = run_columns.chosen(shown, names)
    now, refused = time.time(), refusals.describer(workspace)
    if as_json:
        output.as_json([printed.everything(entry, chosen, now, refused) for entry in shown])
    elif as_csv:
        every = [
            column for key, column in run_columns.available(shown).items() if not key.startswith("tags.")
        ]
        printed.print_csv(
            shown,
            chosen or [column for column in every if not column.name.startswith("system/")],
            now,
            refused,
        )
    elif not shown:
        click.echo("No runs.")
    else:
        by = sort.removeprefix("-")
        figures = chosen or run_columns.informative(shown, by)
        printed.print_table(families, figures, now, refused, least=None if chosen else 1, children=children)
        if marked := [entry.run.id for entry in shown if refused(entry.run.id, entry.run.tags) is not None]:
            of = counted(len(marked), "run")
            click.echo(
                f"{printed.MARK} The server refused something of {of}: trainer show {marked[0][:8]}", err=True
            )
    if len(found) > len(families):
        click.echo(f"There are more than these {limit}: --limit 0 shows all.", err=True)
    if not (project or as_json or as_csv):
        _tell_what_is_missing(workspace, client, query)


def _families(client: Client, query: Query) -> list[Family]:
    """A condition is met by each run for itself, within another one or not."""
    from trainer.tracking import search
    from trainer.tracking.search.families import Family, search_families

    if not query.condition:
        return search_families(client, query)
    return [Family(entry) for entry in search.search(client, query)]


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
