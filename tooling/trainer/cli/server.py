"""`trainer server` and `trainer ui`: the workspace's own tracking server."""

from __future__ import annotations

import os
import sys

import click

from trainer.cli import screen
from trainer.cli.context import pass_workspace
from trainer.cli.server_deploy import deploy
from trainer.errors import BadInput
from trainer.workspace import Workspace


@click.group()
def server() -> None:
    """Tracking servers: the workspace's own, and those on a platform."""


server.add_command(deploy)


@server.command(epilog="Example: trainer server up")
@pass_workspace
def up(workspace: Workspace) -> None:
    """Start the server, if it does not run yet."""
    click.echo(_up(workspace))


@server.command(epilog="Example: trainer server down")
@click.option("--force", is_flag=True, help="Even while runs report to it.")
@pass_workspace
def down(workspace: Workspace, force: bool) -> None:
    """Stop the server; runs and artifacts stay where they are."""
    from trainer import records
    from trainer import server as own

    live = records.live(workspace)
    if live and not force:
        raise BadInput(
            f"{len(live)} live run(s) report to this server, {live[0]} among them.",
            "Wait for them (trainer reconcile), or stop the server all the same: --force",
        )
    click.echo("Stopped." if own.down(workspace) else "It was not running.")


@server.command(epilog="Example: trainer server status --json")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def status(workspace: Workspace, as_json: bool) -> None:
    """Whether the server runs, and where."""
    from trainer import server as own

    state = own.running(workspace)
    answers = state is not None and own.answers(workspace, state.server)
    said = {
        "status": "up" if answers else "starting or stuck" if state else "down",
        "uri": state.server.uri if state else None,
        "pid": state.pid if state else None,
        "containers reach it on": state.bridge.gateway if state and state.bridge else None,
        "store": str(workspace.store),
        "log": str(own.log_file(workspace)),
    }
    if as_json:
        screen.as_json(said)
    else:
        screen.table(("WHAT", "IS"), [(name, str(value or "-")) for name, value in said.items()])


@click.command(epilog="Example: trainer ui")
@click.option("--browser/--no-browser", default=None, help="Open a browser. [default: where there is one]")
@pass_workspace
def ui(workspace: Workspace, browser: bool | None) -> None:
    """Browse the runs in the MLflow UI."""
    from trainer import secrets
    from trainer.endpoint import configured

    chosen = configured(secrets.load(workspace), None, workspace.settings.tracking_uri)
    uri = chosen.uri if chosen else _up(workspace)
    click.echo(uri)
    has_screen = sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if browser or (browser is None and has_screen):
        click.launch(uri)


def _up(workspace: Workspace) -> str:
    from trainer import engine
    from trainer import server as own
    from trainer.errors import EngineError

    try:
        bridge = engine.bridge(engine.connect())
    except EngineError:
        bridge = None  # without an engine there are no containers to be reached from
    with screen.Progress() as progress:
        progress.step("Starting the tracking server")
        started = own.begin(workspace, bridge)
        own.wait(workspace, started)
    return started.uri
