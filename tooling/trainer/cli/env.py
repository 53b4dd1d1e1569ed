"""`trainer env`: what MLflow's own commands and clients need to use the workspace's tracking server."""

from __future__ import annotations

import shlex

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Print the variables for MLflow's own commands.", epilog=examples("source <(trainer env)")
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@tracking_option
@pass_workspace
def env(workspace: Workspace, as_json: bool) -> None:
    """Print the tracking server's address, user name and password as variables for a shell.

    `mlflow` commands and scripts of yours that call MLflow read these. The server is started if it is the
    workspace's own and does not run.
    """
    from trainer.server import selection

    variables = selection.connect(workspace)[0].server.variables
    if as_json:
        output.as_json(variables)
        return
    for name in ("URI", "USERNAME", "PASSWORD", "TOKEN", "SERVER_CERT_PATH", "INSECURE_TLS"):
        variable = f"MLFLOW_TRACKING_{name}"
        value = variables.get(variable)
        # What is left of another server would be sent to this one.
        click.echo(f"export {variable}={shlex.quote(value)}" if value else f"unset {variable}")
