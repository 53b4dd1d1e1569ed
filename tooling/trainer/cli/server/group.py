"""`trainer server` and `trainer ui`: tracking servers, the workspace's own above all."""

from __future__ import annotations

import contextlib
import os
import sys

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.runs.completion import complete_project
from trainer.cli.server import browser
from trainer.cli.server.connect import connect
from trainer.cli.server.copy_runs import copy_runs
from trainer.cli.server.deploy import deploy
from trainer.cli.server.store import backup, restore, rotate_secrets, upgrade
from trainer.cli.server.users import users
from trainer.errors import EngineError, InvalidInput, TrackingDenied, TrackingError
from trainer.server.container import ContainerState
from trainer.tracking.endpoint import Server
from trainer.workspace.settings import Workspace


@click.group(short_help="Manage the tracking server.", epilog=examples("trainer server up"))
def server() -> None:
    """Tracking servers: the workspace's own, and those on a platform."""


for _command in (backup, connect, copy_runs, deploy, restore, rotate_secrets, upgrade, users):
    server.add_command(_command)


@server.command(epilog=examples("trainer server up", "trainer server up --port 5001"))
@click.option("--process", is_flag=True, help="As a process of this machine, not as a container.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Where it listens from now on; the next free port if that is taken.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Let secrets.env name this server in the place of another one; move it while runs report to it.",
)
@click.option("--empty", is_flag=True, help="Begin with an empty store where the one that it had is gone.")
@pass_workspace
def up(workspace: Workspace, process: bool, port: int | None, force: bool, empty: bool) -> None:
    """Start the server, if it is not running.

    The server runs in a container. The first time, an account is created and written to secrets.env, where
    runs find it. Without a Docker engine the server is a process on this machine. `trainer env` prints what
    MLflow's own commands need.
    """
    from trainer.server import container_record
    from trainer.subprocesses import interruptible

    if process and container_record.recorded(workspace):
        raise InvalidInput(
            "This workspace's server is a container: a process would not show its runs.",
            "Start it without --process.",
        )
    if not process and _has_engine(workspace):
        from trainer.server import image, service

        with interruptible(), Progress() as progress:
            started = service.up(workspace, progress, force=force, port=port, empty=empty)
        click.echo(started.uri)
        _note(f"Log in as {started.username}; the password is in {workspace.secrets_file.name}.")
        _warn_of_environment(started)
        state = service.found(workspace)
        if state and state.image != image.plan(workspace).tag:
            _note("mlflow_tracking_server/ has a newer version of it: trainer server upgrade")
        return
    if not process:
        _note("No Docker engine answers: the server is a process of this machine.")
    click.echo(_start_process(workspace, port).uri)


@server.command(epilog=examples("trainer server down"))
@click.option("--force", is_flag=True, help="Stop it even while runs report to it.")
@pass_workspace
def down(workspace: Workspace, force: bool) -> None:
    """Stop the server; runs and artifacts stay where they are."""
    from trainer.server import container_record, live_runs, process, service

    if not force:
        live_runs.refuse(workspace, "trainer server down --force")
    stopped = process.down(workspace)
    if container_record.recorded(workspace):
        stopped = service.down(workspace) or stopped
    click.echo("Stopped." if stopped else "It was not running.")


@server.command(
    short_help="Show the server that runs report to.", epilog=examples("trainer server status --json")
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def status(workspace: Workspace, as_json: bool) -> None:
    """Show the server that runs report to: whether it answers, and its address."""
    from trainer.server import container_record, selection
    from trainer.workspace import secrets

    chosen = selection.chosen(workspace, secrets.load(workspace))
    own = container_record.recorded(workspace)
    if chosen and chosen.uri != own:
        payload = _status_elsewhere(chosen)
    else:
        payload = _container_status(workspace) if own else _process_status(workspace)
    if as_json:
        output.as_json(payload)
    else:
        output.table(("WHAT", "IS"), [(name, str(value or "-")) for name, value in payload.items()])


def _status_elsewhere(server: Server) -> dict[str, object]:
    """Of a server that is not this workspace's own."""
    from trainer.tracking.client import Client

    client, mlflow = Client(server), None
    try:
        mlflow = client.version()
        client.check()
        state = "up"
    except TrackingDenied:
        state = "up, but it refuses the account"
    except TrackingError as error:
        state = f"no answer: {error.message}"
    return {
        "status": state,
        "form": "not of this workspace",
        "uri": server.uri,
        "MLflow": mlflow,
        "user": server.username,
    }


def _container_status(workspace: Workspace) -> dict[str, object]:
    from trainer.server import container, container_record, image, service
    from trainer.tracking.client import Client

    state = service.found(workspace)
    uri = container_record.recorded(workspace)
    running = state is not None and state.status == "running"
    account = service.account(workspace)
    mlflow = None
    if running and account:
        with contextlib.suppress(TrackingError):
            mlflow = Client(account).version()
    newest = image.plan(workspace).tag
    return {
        "status": "up" if mlflow else "starting or stuck" if running else "down",
        "form": "container",
        "uri": uri,
        "MLflow": mlflow,
        "user": account.username if account else None,
        "container": container.name(workspace),
        "containers reach it on": container.network(workspace).uri,
        "image": state.image if state else None,
        "newer image": newest if state and state.image != newest else None,
        "store": f"volume {container.name(workspace)}",
        "space": _space(workspace, state) if state else None,
    }


def _space(workspace: Workspace, state: ContainerState) -> str:
    from trainer.engine import daemon
    from trainer.server.volume import Volume

    space = Volume(daemon.connect(), workspace, state.image).space()
    return f"FULL: {space}" if space.is_full else str(space)


def _process_status(workspace: Workspace) -> dict[str, object]:
    from trainer.server import process as own

    state = own.running(workspace)
    answers = state is not None and own.answers(workspace, state.server)
    return {
        "status": "up" if answers else "starting or stuck" if state else "down",
        "form": "process",
        "uri": state.server.uri if state else None,
        "user": state.server.username if state else None,
        "pid": state.pid if state else None,
        "containers reach it on": state.bridge.gateway if state and state.bridge else None,
        "store": str(workspace.store),
        "log": str(own.log_file(workspace)),
    }


@server.command(epilog=examples("trainer server logs --follow"))
@click.option("-f", "--follow", is_flag=True, help="Follow the log until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True,
              help="Number of lines to show.")  # fmt: skip
@pass_workspace
def logs(workspace: Workspace, follow: bool, lines: int) -> None:
    """Print the server's log."""
    from trainer.server import container, container_record, process

    if container_record.recorded(workspace):
        from trainer.engine import daemon

        for piece in container.output(daemon.connect(), container.name(workspace), lines, follow):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    for line in process.output(workspace, lines, follow):
        click.echo(line)


@click.command(
    short_help="Browse the runs in the MLflow UI.", epilog=examples("trainer ui", "trainer ui sklearn")
)
@click.argument("experiment", required=False, shell_complete=complete_project)
@browser.option
@tracking_option
@pass_workspace
def ui(workspace: Workspace, experiment: str | None, opens: bool | None) -> None:
    """Browse the runs in the MLflow UI, logged in if the server allows it.

    With the name of an EXPERIMENT, which is that of its project unless a run says another, its runs are shown
    with their scores and with the parameters that differ.
    """
    from trainer.server import login_page, selection, start
    from trainer.workspace import secrets

    chosen = selection.chosen(workspace, secrets.load(workspace))
    server = _start_process(workspace) if chosen is None else start.revive(workspace, chosen)
    address = login_page.experiments(server)
    if experiment is not None:
        from trainer.runs.ui import view
        from trainer.tracking.client import Client

        address = view.table(Client(server), experiment)
    browser.show(workspace, server, address, wanted=opens)


def _has_engine(workspace: Workspace) -> bool:
    from trainer.engine import daemon
    from trainer.server import container_record

    try:
        daemon.connect()
    except EngineError:
        if container_record.recorded(workspace):
            raise  # its store is a volume of the engine
        return False
    return True


def _start_process(workspace: Workspace, port: int | None = None) -> Server:
    from trainer.engine import daemon
    from trainer.server import process as own

    try:
        bridge = daemon.bridge(daemon.connect())
    except EngineError:
        bridge = None  # without an engine there are no containers to be reached from
    with Progress() as progress:
        progress.step("Starting the tracking server")
        started = own.begin(workspace, bridge, port)
        own.wait(workspace, started)
    return started


def _warn_of_environment(started: Server) -> None:
    elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
    if elsewhere and elsewhere.rstrip("/") != started.uri:
        _note("But MLFLOW_TRACKING_URI of the environment comes first: unset it.")


def _note(text: str) -> None:
    click.echo(text, err=True)
