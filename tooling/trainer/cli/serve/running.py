"""`trainer serve list`, `stop` and `logs`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer import printable
from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainer.serving.container import Serving


def complete_name(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models that are served."""
    from trainer.serving import container, service

    try:
        servings = container.found(service.connect(), find())
    except TrainerError:
        return []
    return [
        CompletionItem(each.name, help=each.model) for each in servings if each.name.startswith(incomplete)
    ]


@click.command(
    "list", short_help="List the models that are served.", epilog=examples("trainer serve list --json")
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def list_(workspace: Workspace, as_json: bool) -> None:
    """List the models that are served, with their addresses and the versions that answer.

    A model is degraded where its alias points to a version that cannot be served in its place.
    """
    from trainer.models.in_use import keeper
    from trainer.serving import container, service

    servings = container.found(service.connect(), workspace)
    rows = [_row(workspace, each) for each in servings]
    if as_json:
        output.as_json(rows)
    elif not rows:
        output.tell("No model is served.")
    else:
        columns = ("name", "status", "url", "model", "alias")
        output.table(
            [column.upper() for column in columns], [[row[column] for column in columns] for row in rows],
            least=3,
        )  # fmt: skip
    for row in rows:
        for remark in () if as_json else row["remark"].splitlines():
            output.tell(printable.line(remark))
    for name in keeper.revive(workspace, servings):
        output.tell(f"The process that looks after {name} was gone; another one does now.")


def _row(workspace: Workspace, serving: Serving) -> dict[str, str]:
    from trainer.models.in_use import keeper
    from trainer.serving import service

    health, status, remark = None, "ended", ""
    if serving.status == "restarting":
        status = "restarting"
    elif service.is_abandoned(workspace, serving):
        status = "abandoned" if serving.running else "ended"
    elif serving.running:
        health, status = service.health(serving), "no answer"
        remark = keeper.trouble(workspace, serving)
    if health:
        status = "degraded" if health["status"] == "degraded" else "serving"
        remark = health["reason"] or remark
    return {
        "name": serving.name,
        "status": status,
        "url": serving.url,
        "model": (health and health["model"]) or serving.model,
        "alias": serving.follows,
        "shadow": health["shadow"] if health else "",
        "container": serving.container,
        "remark": remark,
    }


@click.command(hidden=True, epilog=examples("trainer serve follow skin"))
@click.argument("name", metavar="NAME")
@pass_workspace
def follow(workspace: Workspace, name: str) -> None:
    """Have the model that is served as NAME follow its alias until it is stopped."""
    from trainer.models.in_use import keeper

    keeper.keep(workspace, name, click.echo)


@click.command(
    short_help="Stop models.", epilog=examples("trainer serve stop skin", "trainer serve stop --all")
)
@click.argument("names", metavar="NAME…", nargs=-1, shell_complete=complete_name)
@click.option("--all", "every", is_flag=True, help="Stop all that this workspace serves.")
@pass_workspace
def stop(workspace: Workspace, names: tuple[str, ...], every: bool) -> None:
    """Stop serving models. What has been asked is answered; the model's file stays."""
    from trainer.serving import container, service

    if bool(names) == every:
        raise InvalidInput("Specify the models to stop, or pass --all.", "`trainer serve list` lists them.")
    client = service.connect()
    servings = container.found(client, workspace)
    for serving in servings if every else service.chosen(servings, names):
        container.remove(client, serving.container)
        click.echo(f"Stopped {serving.name}.")


@click.command(
    short_help="Print the log of a model's server.", epilog=examples("trainer serve logs skin --follow")
)
@click.argument("name", metavar="NAME", shell_complete=complete_name)
@click.option("-f", "--follow", is_flag=True, help="Follow the log until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True,
              help="Number of lines to show.")  # fmt: skip
@pass_workspace
def logs(workspace: Workspace, name: str, follow: bool, lines: int) -> None:
    """Print what the server of a model has said: warnings and errors, not each request."""
    from trainer.serving import container, service

    client = service.connect()
    [serving] = service.chosen(container.found(client, workspace), [name])
    for piece in container.output(client, serving.container, lines, follow):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
