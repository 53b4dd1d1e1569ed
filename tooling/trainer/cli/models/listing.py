"""`trainer models list`, `show` and `history`: what the model registry has."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import figures, output
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.models.argument import model_argument
from trainer.counted import counted
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.models.registry import Version


@click.command(
    "list", short_help="List the registered models.", epilog=examples("trainer models list --json")
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@tracking_option
@pass_workspace
def list_(workspace: Workspace, as_json: bool) -> None:
    """List the registered models of the tracking server, with the versions that their aliases point to."""
    from trainer.models import registry
    from trainer.server import selection

    client, _ = selection.existing(workspace)
    listed = [(model, registry.versions(client, model.name)) for model in registry.models(client)]
    if as_json:
        output.as_json([{**asdict(model), "versions": len(versions)} for model, versions in listed])
        return
    if not listed:
        click.echo("No registered models.")
        output.next_steps(["trainer models register RUN"])
        return
    rows = [
        (
            model.name,
            ", ".join(f"{alias} → {number}" for alias, number in sorted(model.aliases.items())),
            _ago(versions[0].created if versions else model.created),
            str(len(versions)),
        )
        for model, versions in listed
    ]
    output.table(["MODEL", "ALIASES", "NEWEST", "VERSIONS"], rows, numbers=1)


@click.command(
    short_help="Show a registered model or one of its versions.",
    epilog=examples("trainer models show skin", "trainer models show skin@champion"),
)
@model_argument("MODEL")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def show(workspace: Workspace, said: str, as_json: bool) -> None:
    """Show the versions of MODEL, which is a name, or one of them: NAME@ALIAS or NAME@VERSION."""
    from trainer.models import registry
    from trainer.server import selection

    client, _ = selection.existing(workspace)
    reference = registry.parse(said)
    if reference.alias or reference.number:
        version = registry.version(client, reference)
        if as_json:
            output.as_json(asdict(version))
        else:
            _version(version)
        return
    versions = registry.versions(client, reference.name)
    if as_json:
        output.as_json([asdict(version) for version in versions])
        return
    rows = [
        (
            str(version.number),
            ", ".join(version.aliases),
            figures.short(version.run_id),
            _ago(version.created),
        )
        for version in versions
    ]
    output.table(["VERSION", "ALIASES", "RUN", "REGISTERED"], rows)
    if versions and not versions[0].aliases:
        output.next_steps([f"trainer models promote {reference.name}@{versions[0].number} --alias champion"])


@click.command(
    short_help="Show the history of the aliases of a model.",
    epilog=examples("trainer models history skin", "trainer models history skin --alias champion --json"),
)
@model_argument("MODEL")
@click.option("--alias", metavar="ALIAS", help="Only the history of this alias.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def history(workspace: Workspace, said: str, alias: str | None, as_json: bool) -> None:
    """Show which version each alias of MODEL has pointed to: when, by whom, and why, the last move first."""
    from trainer.models import aliases, registry
    from trainer.server import selection

    client, _ = selection.existing(workspace)
    moves = aliases.history(registry.versions(client, registry.parse(said).name), alias)
    if as_json:
        output.as_json([asdict(move) for move in moves])
        return
    if not moves:
        click.echo("No alias has been moved by trainer.")
        return
    rows = [
        (
            datetime.fromtimestamp(move.at, UTC).astimezone().strftime("%Y-%m-%d %H:%M"),
            move.alias,
            f"{move.before or 'none'} → {move.version}",
            move.why,
            move.by,
            figures.short(move.evidence or ""),
        )
        for move in moves
    ]
    output.table(["TIME", "ALIAS", "VERSION", "COMMAND", "USER", "EVIDENCE"], rows)


def _version(version: Version) -> None:
    from trainer.models import version_tags

    aliases = f"  ({', '.join(version.aliases)})" if version.aliases else ""
    click.echo(f"{output.style(f'{version.model}@{version.number}', bold=True)}{aliases}")
    click.echo(f"registered {_ago(version.created)}")
    if version.description:
        click.echo(printable.lines(version.description))
    _pairs({"run": version.run_id, "source": version.source, **_described(version.tags)})
    if version.tags.get(version_tags.FORMAT) == version_tags.ONNX:
        named = shlex.quote(f"{version.model}@{version.number}")
        output.next_steps([f"trainer predict {named} INPUT", f"trainer serve {named}"])
    elif version.run_id:
        output.next_steps([f"trainer show {version.run_id[:8]}"])


def _described(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that describe the version, by their names without the prefix, and those of others."""
    from trainer.models import aliases

    shown = {key: value for key, value in tags.items() if not key.startswith(aliases.PREFIX)}
    moves = len(tags) - len(shown)
    return {
        **{key.removeprefix("trainer."): value for key, value in sorted(shown.items())},
        **({"moves of aliases": counted(moves, "move")} if moves else {}),
    }


def _pairs(pairs: Mapping[str, str]) -> None:
    shown = {name: text for name, text in pairs.items() if text}
    width = max(map(len, shown), default=0)
    for name, text in shown.items():
        click.echo(f"  {name:<{width}}  {printable.line(text)}")


def _ago(at: float) -> str:
    return f"{figures.ago(time.time() - at)} ago"
