"""`trainer compare`: runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.runs.argument import run_argument
from trainer.cli.runs.comparison import table
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.tracking.client import Client, Run
    from trainer.tracking.compare import Comparison, Row


@click.command(
    short_help="Compare runs.",
    epilog=examples(
        "trainer compare @last brave-hen-7",
        "trainer compare @best:accuracy @last --code",
        "trainer compare 3f4c ab12 cd56 --html comparison.html",
    ),
)
@run_argument(several=True)
@click.option("--all", "everything", is_flag=True, help="Also show what is equal.")
@click.option(
    "--code", "with_code", is_flag=True, help="Also show how the stored code differs from the first run's."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write a page with tables, curves and pictures that needs no network; nothing is overwritten.",
)  # fmt: skip
@pass_workspace
def compare(
    workspace: Workspace, said: tuple[str, ...], everything: bool, with_code: bool, as_json: bool,
    page: Path | None,
) -> None:  # fmt: skip
    """Compare runs with the first one: parameters that differ, then metrics, then image, code and data.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. Each metric shows its
    difference to the first run; a star marks the best value, if the metric's name says whether higher or
    lower is better.
    """
    from trainer.runs import resolve, server
    from trainer.tracking import compare as comparison

    if page and page.exists():
        raise InvalidInput(
            f"{page} already exists.", "Nothing is overwritten: name another file, or remove it."
        )
    chosen = {record.run_id: record for record in (resolve.resolve(workspace, one) for one in said)}
    if len(chosen) < 2:
        raise InvalidInput("Comparing needs at least two different runs.", "trainer compare RUN RUN…")
    clients, runs = zip(*(server.run_of(workspace, record) for record in chosen.values()), strict=True)
    compared = comparison.compare(runs)
    changes = dict(_code(clients, runs)) if with_code else {}
    if page:
        _write(page, compared, clients, changes)
        click.echo(f"Written: {page}", err=as_json)
    if as_json:
        output.as_json(_as_json(compared, changes))
    elif not page:
        table.show(compared, everything=everything)
        _print_code(compared, changes)


def _write(
    page: Path, compared: Comparison, clients: Sequence[Client], changes: dict[str, list[str]]
) -> None:
    from trainer.cli.runs.comparison import page as comparison_page
    from trainer.tracking import search
    from trainer.tracking.artifacts import pictures

    curves: dict[str, dict[str, tuple[search.Point, ...]]] = {row.name: {} for row in compared.metrics}
    for client in {client_of_run.server.uri: client_of_run for client_of_run in clients}.values():
        ids = [
            run.id
            for run, client_of_run in zip(compared.runs, clients, strict=True)
            if client_of_run.server.uri == client.server.uri
        ]
        for name, by_run in curves.items():
            by_run |= search.curves(client, ids, name)
    with output.Bar() as bar:
        shared = pictures.shared(list(zip(clients, compared.runs, strict=True)), progress=bar)
    text = comparison_page.render(compared, curves, shared, changes)
    try:
        with page.open("x", encoding="utf-8") as written:  # made in between: not overwritten either
            written.write(text)
    except OSError as error:
        raise InvalidInput(f"{page} cannot be written: {error.strerror}.", "Specify another file.") from None
    for line in shared.left_out:
        output.tell(printable.line(f"Left out of the page: {line}"))


def _code(clients: Sequence[Client], runs: Sequence[Run]) -> Iterator[tuple[str, list[str]]]:
    """By run, the lines of the differences to the first run's code."""
    from trainer.runs import stored_code

    first = stored_code.fetch(clients[0], runs[0])
    for client, run in zip(clients[1:], runs[1:], strict=True):
        yield run.id, list(stored_code.difference(first, stored_code.fetch(client, run)))


def _print_code(compared: Comparison, changes: dict[str, list[str]]) -> None:
    first, names = compared.runs[0].name, {run.id: run.name for run in compared.runs}
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for run_id, lines in changes.items():
        title = printable.line(f"Code of {first} → {names[run_id]}")
        click.echo(f"\n{output.style(title, bold=True)}")
        for line in lines or ["No difference."]:
            text = printable.line(line.replace("\t", "    "))
            click.echo(output.style(text, fg=colours.get(line[:1])))


def _as_json(compared: Comparison, changes: dict[str, list[str]]) -> dict[str, object]:
    ids = [run.id for run in compared.runs]

    def by_run(row: Row) -> dict[str, object]:
        return {"differs": row.differs, "values": dict(zip(ids, row.values, strict=True))}

    return {
        "remarks": compared.remarks,
        "runs": [
            {"run_id": run.id, "name": run.name, "status": run.status, "url": run.url}
            for run in compared.runs
        ],
        "parameters": {row.name: by_run(row) for row in compared.parameters},
        "metrics": {
            row.name: {
                "differs": row.differs,
                "values": dict(zip(ids, map(output.finite, row.values), strict=True)),
                "differences": dict(zip(ids, map(output.finite, row.differences), strict=True)),
                "best": [ids[index] for index in sorted(row.best)],
            }
            for row in compared.metrics
        },
        **{
            title.lower(): {row.name: by_run(row) for row in rows} for title, rows in compared.origins.items()
        },
        **({"code_diff": {run_id: "\n".join(lines) for run_id, lines in changes.items()}} if changes else {}),
    }
