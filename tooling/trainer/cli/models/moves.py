"""`trainer models promote` and `rollback`: what an alias points to."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.models.argument import model_argument
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.models.aliases import Move

CHAMPION = "champion"
_alias_option = click.option(
    "--alias", default=CHAMPION, show_default=True, metavar="ALIAS", help="The alias to move."
)
_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only show which version the alias would point to."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.command(
    short_help="Have an alias point to a version.",
    epilog="Example: trainer models promote skin@3 --alias champion",
)
@model_argument("NAME@VERSION")
@_alias_option
@_dry_run_option
@_json_option
@pass_workspace
def promote(workspace: Workspace, said: str, alias: str, dry_run: bool, as_json: bool) -> None:
    """Have an alias point to NAME@VERSION, which may be NAME@ALIAS too.

    Who uses NAME@champion uses that version from then on. `trainer models rollback` undoes it.
    """
    from trainer.models import aliases, registry
    from trainer.server import selection

    registry.check_alias(alias)
    reference = registry.parse(said)
    if not (reference.alias or reference.number):
        raise InvalidInput(f"{said} names no version.", f"Write {said}@VERSION; to list them: "
                           f"trainer models show {said}")  # fmt: skip
    client, _ = selection.existing(workspace)
    version = registry.version(client, reference)
    before = registry.model(client, version.model).aliases.get(alias)
    if before == version.number:
        output.tell(f"{version.model}@{version.number} is {alias} already.")
        if as_json:
            output.as_json(None)
        return
    if dry_run:
        click.echo(f"{alias} of {version.model} would be moved: {before or 'none'} → {version.number}")
        return
    _report(version.model, aliases.move(client, version, alias, before, "promote"), as_json=as_json)


@click.command(
    short_help="Undo the last promotion to an alias.",
    epilog="Example: trainer models rollback skin --alias champion",
)
@model_argument("NAME")
@_alias_option
@_dry_run_option
@_json_option
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
    _report(name, aliases.move(client, version, alias, before, "rollback"), as_json=as_json)


def _report(name: str, move: Move, *, as_json: bool) -> None:
    if as_json:
        output.as_json(asdict(move))
        return
    click.echo(f"{name}@{move.alias} is version {move.version} (was {move.before or 'none'}).")
    if move.why == "promote" and move.before:
        output.tell(f"To undo: trainer models rollback {name} --alias {move.alias}")
