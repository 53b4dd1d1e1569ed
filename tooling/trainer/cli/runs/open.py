"""`trainer open`: the page of a run in the MLflow UI."""

from __future__ import annotations

import click

from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.runs.argument import run_argument
from trainer.cli.server import browser
from trainer.workspace.settings import Workspace


@click.command("open", short_help="Open a run in the MLflow UI.", epilog=examples("trainer open @last"))
@run_argument()
@browser.option
@pass_workspace
def open(workspace: Workspace, said: str, opens: bool | None) -> None:  # noqa: A001 (a command is named as its module)
    """Open the page of RUN in the MLflow UI, logged in if the server allows it.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC.
    """
    from trainer.runs import resolve, server

    client, run = server.run_of(workspace, resolve.resolve(workspace, said))
    browser.show(workspace, client.server, run.url, wanted=opens)
