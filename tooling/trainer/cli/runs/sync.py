"""`trainer sync`: upload pending run data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.failures import explain
from trainer.counted import counted
from trainer.errors import TrainerError
from trainer.workspace.refusals import RefusedRecords
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainer.workspace.run_folders import Record


def _complete_run(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from trainer.workspace import run_folders

    try:
        records = run_folders.undelivered(find())
        return [CompletionItem(record.run_id, help=record.name) for record in records
                if record.run_id.startswith(incomplete)]  # fmt: skip
    except TrainerError:
        return []


@click.command(
    short_help="Upload pending run data to the tracking server.",
    epilog=examples("trainer sync", "trainer sync --dry-run"),
)
@click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=_complete_run)
@click.option("--dry-run", is_flag=True, help="Show what is on this disk; deliver nothing.")
@click.option("--recreate", is_flag=True, help="Recreate runs that the server no longer has.")
@click.option("--refused", is_flag=True, help="Retry what the server refused.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def sync(
    workspace: Workspace, runs: tuple[str, ...], dry_run: bool, recreate: bool, refused: bool, as_json: bool
) -> None:  # fmt: skip
    """Upload pending run data to the tracking server, and set the final status of the runs.

    RUN is an id or its beginning, a name, @last or @best:METRIC; default: all runs. Nothing is sent twice.

    Data that the server refuses stays on disk (exit code 84) until it is sent again with --refused; runs that
    were deleted from the server stay until --recreate.
    """
    from trainer.runs import sync as use_case
    from trainer.workspace import refusals, run_folders

    for unreadable in run_folders.unreadable(workspace):
        click.echo(str(unreadable), err=True)
    with output.Bar() as bar:
        done = list(use_case.sync(workspace, runs, bar, dry_run=dry_run, recreate=recreate, refused=refused))
    rows = [
        {
            "run_id": result.record.run_id, "name": result.record.name, "project": result.record.project,
            "tracking_uri": result.record.tracking_uri, "status": result.status,
            "points": result.pending.points, "files": result.pending.files,
            "refused": result.refused.records if result.refused else result.pending.refused,
            "delivered": not dry_run and result.error is None and result.status != "RUNNING",
            "why_refused": list(result.refused.reasons) if result.refused else [],
            "error": explain(result.error)[0] if result.error else None,
        }
        for result in done
    ]  # fmt: skip
    # What was refused before is still on this disk alone.
    handled = {result.record.run_id for result in done}
    old = (
        []
        if runs
        else [
            refused_records
            for refused_records in refusals.all_refused(workspace)
            if refused_records.run_id not in handled
        ]
    )
    if as_json:
        output.as_json([*rows, *map(_of_old, old)])
    elif rows:
        keys = ("name", "project", "status", "points", "files")
        table = [
            (
                str(row["run_id"])[:8],
                *(str(row[key]) for key in keys),
                _word(row["delivered"], row["refused"], dry_run),
            )
            for row in rows
        ]  # fmt: skip
        output.table(("RUN", "NAME", "PROJECT", "STATUS", "POINTS", "FILES", ""), table)
        _print_other_servers(workspace, [result.record for result in done])
    elif live := run_folders.live(workspace):
        named = ", ".join(record.name or record.project for record in live)
        click.echo(f"Nothing to do. What is still going is delivered by its launcher: {named}")
    elif any(True for _ in refusals.all_refused(workspace)):
        click.echo("Nothing to do: the rest is on the tracking server.")
    else:
        click.echo("Nothing to do: everything is on the tracking server.")
    for refused_records in (
        refusals.all_refused(workspace) if dry_run else old
    ):  # of which its own call said so, with 84
        click.echo(f"{refused_records} It is in {refused_records.folder}", err=True)
    problems = [
        error for result in done if (error := result.error or (result.refused and result.refused.error))
    ]
    for error in problems[1:]:
        if explain(error) != explain(problems[0]):
            click.echo(explain(error)[0], err=True)
    if problems:
        raise problems[0]


def _print_other_servers(workspace: Workspace, records: Sequence[Record]) -> None:
    """A run is delivered to the server that was configured when it was started, not to today's."""
    from trainer.server import selection
    from trainer.workspace import secrets

    today = selection.chosen(workspace, secrets.load(workspace))
    other_servers = Counter(
        record.tracking_uri
        for record in records
        if not (record.own_server if today is None else record.tracking_uri == today.uri)
    )
    for uri, count in other_servers.items():
        goes = "goes" if count == 1 else "go"
        click.echo(f"{counted(count, 'run')} {goes} to {uri}, the tracking server at launch.", err=True)


def _of_old(refused: RefusedRecords) -> dict[str, object]:
    return {"run_id": refused.run_id, "refused": refused.records, "why_refused": list(refused.reasons)}


def _word(delivered: object, refused: object, dry_run: bool) -> str:
    if delivered:
        return "delivered, but for what was refused" if refused else "delivered"
    return "" if dry_run else "on this disk"
