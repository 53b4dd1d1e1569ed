"""`trainer secrets`: what is in secrets.env, without ever showing a value."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainer.workspace.secrets_import import Variables


@click.group(
    short_help="Manage the secrets of the workspace.",
    epilog=examples("trainer secrets set API_KEY"),
)
def secrets() -> None:
    """The secrets in the workspace's secrets.env. No command shows a value, or takes one as an argument."""


def _complete_known(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from trainer.workspace import secrets as domain

    try:
        names = domain.read(find()).values
    except TrainerError:
        return []
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _complete_needed(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from trainer.maintenance.secret_checks import needed_secrets

    names_known = _complete_known(ctx, parameter, incomplete)
    try:
        needed = needed_secrets(find())
    except TrainerError:
        return names_known
    missing = [name for name in needed if name not in {item.value for item in names_known}]
    return [*(CompletionItem(name) for name in missing if name.startswith(incomplete)), *names_known]


_dry_run = click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")


@secrets.command(
    "set",
    short_help="Set a secret; the value is not echoed.",
    epilog=examples("trainer secrets set API_KEY", "trainer secrets set API_KEY < key.txt"),
)
@click.argument("name", shell_complete=_complete_needed)
@_dry_run
@pass_workspace
def set_(workspace: Workspace, name: str, dry_run: bool) -> None:
    """Set NAME in secrets.env, which is created with mode 600 if it does not exist.

    The value is prompted for without echo, or read from standard input, without its last line break. All
    other lines stay as they are.
    """
    from trainer.masking import SHORTEST_MASKED
    from trainer.workspace import secrets as domain
    from trainer.workspace import secrets_file

    if not secrets_file.NAME.fullmatch(name):
        raise InvalidInput(
            # Not repeated: it may be the value, given in the name's place.
            "The name is not a valid variable name.",
            "trainer secrets set NAME, of letters, digits and underscores; the value is asked for.",
        )
    names_known = domain.read(workspace).values
    domain.check(workspace)  # before anything is asked
    done, would = ("Replaced", "replace") if name in names_known else ("Set", "set")
    if dry_run:
        click.echo(f"Would {would} {name} in {workspace.secrets_file}")
        return
    value = _value(name)
    domain.store(workspace, {name: value})
    click.echo(f"{done} {name} in {workspace.secrets_file}")
    if len(value) < SHORTEST_MASKED and name not in domain.NOT_SECRET:
        _note(f"Its value cannot be masked in output: {domain.TOO_SHORT}")


def _value(name: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, err=True))
    try:
        value = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        value = ""
    if not value or "\0" in value:  # as of UTF-16: no variable can hold it
        raise InvalidInput(
            "Standard input has no value: it is empty or not text.", f"trainer secrets set {name} < FILE"
        )
    return value


@secrets.command(
    "import",
    short_help="Import secrets from another file.",
    epilog=examples("trainer secrets import .env", "trainer secrets import secrets.ps1 --dry-run"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace values that secrets.env has already.")
@_dry_run
@pass_workspace
def import_(workspace: Workspace, file: Path, replace: bool, dry_run: bool) -> None:
    """Set the variables in FILE in secrets.env: dotenv, a shell script, PowerShell, or a Windows batch file.

    FILE is read and not executed. No value is shown but the address of a tracking server; all other lines of
    secrets.env stay as they are.
    """
    from trainer.workspace import secrets as domain
    from trainer.workspace import secrets_import

    variables = secrets_import.read(file)
    present = domain.read(workspace).values
    domain.check(workspace)
    new = {name: value for name, value in variables.values.items() if value and present.get(name) != value}
    if not any(variables.values.values()):
        raise InvalidInput(*_nothing_in(file, variables))
    if (taken := sorted(new.keys() & present.keys())) and not replace:
        raise InvalidInput(
            f"{workspace.secrets_file.name} has another value of {', '.join(taken)}.",
            f"To take those of the file: trainer secrets import {shlex.quote(str(file))} --replace",
        )
    if not dry_run:
        domain.store(workspace, new)
    for name in new:
        done, would = ("Replaced", "replace") if name in present else ("Set", "set")
        click.echo(f"Would {would} {name}" if dry_run else f"{done} {name}")
    _tell_not_set(variables, new)
    if new and not dry_run:
        _tell_set(new)
        _note(f"{file} still holds the values: remove it, or keep it out of git.")


@secrets.command(short_help="Remove a secret.", epilog=examples("trainer secrets unset API_KEY"))
@click.argument("name", shell_complete=_complete_known)
@_dry_run
@pass_workspace
def unset(workspace: Workspace, name: str, dry_run: bool) -> None:
    """Remove NAME from secrets.env; all other lines stay as they are."""
    from trainer.workspace import secrets as domain

    names_known = domain.load(workspace).values
    if name not in names_known:
        _note(f"{workspace.secrets_file.name} has no such name: there is nothing to remove.")
        return
    if not dry_run:
        domain.store(workspace, {name: None})
    click.echo(f"{'Would remove' if dry_run else 'Removed'} {name} from {workspace.secrets_file}")


@secrets.command("list", short_help="List the names.", epilog=examples("trainer secrets list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def list_(workspace: Workspace, as_json: bool) -> None:
    """List the names in secrets.env, and the projects that need them; no value is shown."""
    from trainer.maintenance.secret_checks import needed_secrets
    from trainer.workspace import secrets as domain

    needed = needed_secrets(workspace)
    rows = [(name, needed.get(name, [])) for name in sorted(domain.load(workspace).values)]
    if as_json:
        output.as_json([{"name": name, "needed_by": users} for name, users in rows])
        return
    if not rows:
        click.echo(f"No secrets are set; needed by projects: {', '.join(needed) or 'none'}.")
        return
    output.table(("NAME", "NEEDED BY"), [(name, ", ".join(users)) for name, users in rows])


@secrets.command(short_help="Check that nothing leaks and nothing is missing.",
                 epilog=examples("trainer secrets check"))  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def check(workspace: Workspace, as_json: bool) -> None:
    """Check that git does not commit secrets.env, that nobody else reads it, and that no project lacks one.

    Exit code 89 if something is wrong. No value is shown.
    """
    from trainer.cli.doctor import show
    from trainer.maintenance import secret_checks

    show(secret_checks.checks(workspace), as_json=as_json)


def _lines(numbers: Sequence[int]) -> str:
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _named(computed: Mapping[str, int]) -> str:
    return ", ".join(f"{name} (line {line})" for name, line in computed.items())


def _set(computed: Mapping[str, int]) -> str:
    return f"trainer secrets set {'NAME' if len(computed) > 1 else next(iter(computed))}"


def _tell_not_set(variables: Variables, new: Mapping[str, str]) -> None:
    if same := [name for name, value in variables.values.items() if value and name not in new]:
        _note(f"Unchanged: {', '.join(same)}")
    if empty := [name for name, value in variables.values.items() if not value]:
        _note(f"Not set, since they are empty: {', '.join(empty)}")
    if variables.other_lines:
        _note(f"Not read: {_lines(variables.other_lines)}")
    if computed := variables.computed:
        them, each = ("them", "each") if len(computed) > 1 else ("it", "it")
        _note(
            f"Not set, since a shell would have to compute {them}: {_named(computed)}. "
            f"Set {each}: {_set(computed)}"
        )


def _tell_set(new: Mapping[str, str]) -> None:
    from trainer.masking import SHORTEST_MASKED
    from trainer.workspace import secrets as domain

    for name, value in new.items():
        if len(value) < SHORTEST_MASKED and name not in domain.NOT_SECRET:
            _note(f"The value of {name} cannot be masked in output: {domain.TOO_SHORT}")
    if uri := new.get("MLFLOW_TRACKING_URI"):
        _tell_server(uri)


def _tell_server(uri: str) -> None:
    from trainer.tracking import endpoint
    from trainer.workspace.secrets import Secrets

    try:
        address = endpoint.named(Secrets(), uri).uri
    except InvalidInput:
        address = "@"
    if "@" in address:  # not shown: it may be part of a password
        _note("MLFLOW_TRACKING_URI is not the http(s) address of a server: runs cannot report to it.")
        return
    _note(f"Runs report to {address} from now on.")
    if os.environ.get("MLFLOW_TRACKING_URI"):
        _note("But MLFLOW_TRACKING_URI of the environment comes first: unset it.")


def _nothing_in(file: Path, variables: Variables) -> tuple[str, str]:
    if variables.computed:
        return (
            f"{file}: no value is plain text: {_named(variables.computed)}.",
            f"Write NAME='value' there, one on a line, or set it apart: {_set(variables.computed)}",
        )
    return f"{file} sets no variable.", 'Its lines have to be NAME=value, or $env:NAME = "value".'


def _note(text: str) -> None:
    click.echo(text, err=True)
