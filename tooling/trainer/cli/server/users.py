"""`trainer server users`: who may use the tracking server."""

from __future__ import annotations

import secrets as random
import sys

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.errors import InvalidInput
from trainer.server.users import Account
from trainer.tracking.client import Client
from trainer.workspace.settings import Workspace

_from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
_generate = click.option("--generate", is_flag=True, help="Generate a password and print it once.")


@click.group(epilog=examples("trainer server users add ada --generate"))
def users() -> None:
    """Accounts of the tracking server that runs report to. You need to be an administrator."""


@users.command("list", epilog=examples("trainer server users list"))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def list_(workspace: Workspace, as_json: bool) -> None:
    """List the accounts."""
    from trainer.server import users as accounts

    client = _client(workspace)
    accounts_found = accounts.all_of(client)
    if as_json:
        output.as_json([{"name": account.name, "admin": account.is_admin} for account in accounts_found])
        return
    output.table(("NAME", "IS"), [(account.name, _role(account, client)) for account in accounts_found])


def _role(account: Account, client: Client) -> str:
    role = "administrator" if account.is_admin else "user"
    return f"{role}, used by trainer here" if account.name == client.server.username else role


@users.command(epilog=examples("trainer server users add ada --generate"))
@click.argument("name")
@click.option("--admin", is_flag=True, help="May manage accounts, and change what others made.")
@_from_stdin
@_generate
@pass_workspace
def add(workspace: Workspace, name: str, admin: bool, password_stdin: bool, generate: bool) -> None:
    """Create an account. It may read everything, and change what it made itself."""
    from trainer.server import users as accounts

    client = _client(workspace)
    password = _password(password_stdin, generate)
    accounts.add(client, name, password, admin=admin)
    _print_password(f"Made the account {name} on {client.server.uri}.", password if generate else None)


@users.command(epilog=examples("trainer server users remove ada"))
@click.argument("name")
@pass_workspace
def remove(workspace: Workspace, name: str) -> None:
    """Remove an account; its runs stay."""
    from trainer.server import users as accounts

    client = _client(workspace)
    accounts.remove(client, name)
    click.echo(f"Removed the account {name} from {client.server.uri}.", err=True)


@users.command(epilog=examples("trainer server users password ada --generate"))
@click.argument("name")
@_from_stdin
@_generate
@pass_workspace
def password(workspace: Workspace, name: str, password_stdin: bool, generate: bool) -> None:
    """Change the password of an account. For trainer's own, use `trainer server rotate-secrets`."""
    from trainer.server import users as accounts

    client = _client(workspace)
    if name == client.server.username:
        raise InvalidInput(
            f"{name} is the account that trainer itself uses.",
            "To change its password: trainer server rotate-secrets",
        )
    new = _password(password_stdin, generate)
    accounts.change_password(client, name, new)
    _print_password(f"Changed the password of {name} on {client.server.uri}.", new if generate else None)


@users.command(
    short_help="Let an account add runs to an experiment.",
    epilog=examples("trainer server users grant bob digits"),
)
@click.argument("name")
@click.argument("experiment")
@pass_workspace
def grant(workspace: Workspace, name: str, experiment: str) -> None:
    """Let the account NAME add runs to EXPERIMENT, and change those that are in it.

    The owner of the experiment may do this, who is whoever made its first run; so may an administrator.
    """
    from trainer.server import users as accounts

    accounts.grant(_client(workspace), name, experiment)
    click.echo(f"{name} may add runs to {experiment}.", err=True)


@users.command(
    short_help="Take back what `grant` gave.", epilog=examples("trainer server users revoke bob digits")
)
@click.argument("name")
@click.argument("experiment")
@pass_workspace
def revoke(workspace: Workspace, name: str, experiment: str) -> None:
    """Let the account NAME only read EXPERIMENT again."""
    from trainer.server import users as accounts

    accounts.revoke(_client(workspace), name, experiment)
    click.echo(f"{name} may only read {experiment}.", err=True)


def _client(workspace: Workspace) -> Client:
    from trainer.server import selection, start
    from trainer.workspace import secrets

    chosen = selection.chosen(workspace, secrets.load(workspace))
    if chosen is None:
        raise InvalidInput(
            "This workspace's tracking server is a process without accounts.",
            "Make one with accounts: trainer server up, or trainer server deploy",
        )
    return Client(start.revive(workspace, chosen))


def _password(from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise InvalidInput("--password-stdin and --generate exclude each other.", "Pass one of them.")
    if generate:
        return random.token_urlsafe(15)
    if from_stdin:
        try:
            return sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            raise InvalidInput(
                "The password on standard input is not text.", "Write it in UTF-8, in one line."
            ) from None
    if not sys.stdin.isatty():
        raise InvalidInput(
            "There is no terminal to ask for the password.", "Pass --generate, or --password-stdin."
        )
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _print_password(text: str, password: str | None) -> None:
    click.echo(text, err=True)
    if password:
        click.echo(password)
