"""`trainer server connect`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.tracking.endpoint import Server


@click.command(
    short_help="Have runs report to a tracking server.",
    epilog=examples(
        "trainer server connect https://mlflow.example.com",
        "trainer server connect https://mlflow.example.com --username ada --password-stdin < password.txt",
    ),
)
@click.argument("url")
@click.option("--username", metavar="NAME", help="The account. [default: asked for, if the server wants one]")
@click.option("--password-stdin", is_flag=True, help="Read its password from standard input.")
@click.option("--token-stdin", is_flag=True, help="Read a token from standard input instead of an account.")
@click.option("--force", is_flag=True, help="Replace the server that the workspace has now.")
@click.option("--dry-run", is_flag=True, help="Check the server and the account; write nothing.")
@pass_workspace
def connect(
    workspace: Workspace, url: str, username: str | None, password_stdin: bool, token_stdin: bool,
    force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Have runs of this workspace report to the tracking server at URL.

    The server and the account are checked first. Then trainer.yaml has the address, and secrets.env the
    account.
    """
    from trainer.server import connect as use_case

    if (password_stdin and not username) or (token_stdin and (username or password_stdin)):
        raise InvalidInput(
            "An account is a user name and a password, or a token.",
            "Pass --username NAME --password-stdin, or --token-stdin.",
        )
    server = use_case.address(workspace, url)
    if token_stdin:
        server = replace(server, token=_line("token"))
    elif username or not use_case.is_open(server):
        server = _with_account(server, username, from_stdin=password_stdin)
    connection = use_case.check(workspace, server, force=force)
    who = f" as {server.username}" if server.username else ""
    if dry_run:
        click.echo(f"MLflow {connection.version} at {server.uri} can be used{who}. Nothing was written.")
        return
    use_case.write(workspace, server)
    click.echo(f"Connected to MLflow {connection.version} at {server.uri}{who}.")
    if connection.replaced:
        output.tell(f"Runs reported to {connection.replaced} before.")
    if os.environ.get("MLFLOW_TRACKING_URI"):
        output.tell("MLFLOW_TRACKING_URI of the environment still comes first: unset it.")
    copy = [f"trainer server copy-runs own {server.uri}"] if workspace.store.exists() else []
    output.next_steps(["trainer runs", *copy])


def _with_account(server: Server, username: str | None, *, from_stdin: bool) -> Server:
    if not from_stdin and not sys.stdin.isatty():
        raise InvalidInput(
            f"{server.uri} wants an account, and there is no terminal to ask for it.",
            f"trainer server connect {server.uri} --username NAME --password-stdin < FILE",
        )
    username = username or str(click.prompt("User name", err=True))
    password = _line("password") if from_stdin else str(click.prompt("Password", hide_input=True, err=True))
    return replace(server, username=username, password=password)


def _line(what: str) -> str:
    try:
        line = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        line = ""
    if not line:
        raise InvalidInput(f"Standard input has no {what}.", "Write it in UTF-8, in one line.")
    return line
