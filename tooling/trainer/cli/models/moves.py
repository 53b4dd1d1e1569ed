"""`trainer models rollback`, and what it shares with `promote`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.models.argument import model_argument
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.models.aliases import Move

CHAMPION = "champion"
alias_option = click.option(
    "--alias", default=CHAMPION, show_default=True, metavar="ALIAS", help="The alias to move."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only show which version the alias would point to."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.command(
    short_help="Undo the last promotion to an alias.",
    epilog=examples("trainer models rollback skin --alias champion"),
)
@model_argument("NAME")
@alias_option
@dry_run_option
@json_option
@pass_workspace
def rollback(workspace: Workspace, said: str, alias: str, dry_run: bool, as_json: bool) -> None:
    """Have an alias of NAME point to the version before the last promotion again.

    A second rollback goes one promotion further back.
    """
    from trainer.models import aliases, registry
    from trainer.server import selection

    registry.check_alias(alias)
    client, _ = selection.existing(workspace)
    name = registry.parse(said).name
    versions = registry.versions(client, name)
    version = aliases.previous(versions, alias)
    before = next(v.number for v in versions if alias in v.aliases)
    if dry_run:
        click.echo(f"{alias} of {name} would be moved: {before} → {version.number}")
        return
    move = aliases.move(client, version, alias, before, "rollback")
    if as_json:
        output.as_json({"move": asdict(move)})
    else:
        report(name, move)
    follow(workspace, name, alias)


def follow(workspace: Workspace, name: str, alias: str) -> None:
    """Have the models that this workspace serves follow, and say what they answer with."""
    from trainer.models.in_use import following

    for line in following.of_alias(workspace, name, alias):
        output.tell(printable.line(line))


def report(name: str, move: Move) -> None:
    """Print what an alias points to now."""
    click.echo(f"{name}@{move.alias} is version {move.version} (was {move.before or 'none'}).")
    if move.why == "promote" and move.before:
        output.tell(f"To undo: trainer models rollback {name} --alias {move.alias}")
