"""`trainer sweep show`: all trials of a sweep, in the terminal or as a page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.runs.argument import run_argument
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.sweeps.search.spec import SweepSpec
    from trainer.tracking.client import Run


@click.command(
    short_help="Show all trials of a sweep.",
    epilog=examples("trainer sweep show brave-hen-7", "trainer sweep show brave-hen-7 --html sweep.html"),
)
@run_argument()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write a page with tables and charts that needs no network; nothing is overwritten.",
)  # fmt: skip
@pass_workspace
def show(workspace: Workspace, said: str, as_json: bool, page: Path | None) -> None:
    """Show all trials of the sweep RUN, the best first: a star marks the best, or those of the Pareto front.

    RUN is the parent run of a sweep. The page has the trials, the history of the search, how much each
    parameter matters, and the result by each of them.
    """
    from trainer.cli.sweep import trials
    from trainer.runs import resolve, server
    from trainer.sweeps import stored

    if page and page.exists():
        raise InvalidInput(
            f"{page} already exists.", "Nothing is overwritten: name another file, or remove it."
        )
    client, run = server.run_of(workspace, resolve.resolve(workspace, said))
    if not stored.is_sweep(run):
        raise InvalidInput(f"{run.name} is no sweep.", f"Show it as a run: trainer show {run.id[:8]}")
    spec, runs = stored.spec_of(workspace, client, run), stored.children(client, run)
    view = stored.view(spec, run, runs, time.time())
    if page:
        from trainer.cli.sweep import page as sweep_page

        text = sweep_page.render(view, spec, _importances(spec, runs), run.url)
        try:
            with page.open("x", encoding="utf-8") as written:  # made in between: not overwritten either
                written.write(text)
        except OSError as error:
            raise InvalidInput(
                f"{page} cannot be written: {error.strerror}.", "Specify another file."
            ) from None
        click.echo(f"Written: {page}", err=as_json)
    if as_json:
        output.as_json(trials.as_json(view))
    elif not page:
        goals = ", ".join(objective.text for objective in view.objectives)
        click.echo(printable.line(f"{run.name} ({run.id[:8]})  {run.status}  {goals}"))
        click.echo(trials.summary(view))
        if view.trials:
            trials.print_table(view, everything=True)


def _importances(spec: SweepSpec, runs: Sequence[Run]) -> Mapping[str, float]:
    """Nothing where a run has values that are not searched: somebody else's run, below this one."""
    from trainer.sweeps import resume
    from trainer.sweeps.studies import figures, rebuilt

    try:
        return figures.importances(rebuilt.remembered(spec, resume.trials(spec, runs)))
    except InvalidInput:
        return {}
