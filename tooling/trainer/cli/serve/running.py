"""`trainer serve list`, `stop` and `logs`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.context import pass_workspace
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
    "list", short_help="List the models that are served.", epilog="Example: trainer serve list --json"
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def list_(workspace: Workspace, as_json: bool) -> None:
    """List the models that are served, with their addresses."""
    from trainer.serving import container, service

    servings = container.found(service.connect(), workspace)
    if as_json:
        output.as_json(
            [{"name": each.name, "status": _status(workspace, each), "url": each.url, "model": each.model,
              "container": each.container} for each in servings]
        )  # fmt: skip
    elif not servings:
        output.tell("No model is served.")
    else:
        output.table(
            ("NAME", "STATUS", "URL", "MODEL"),
            [(each.name, _status(workspace, each), each.url, each.model) for each in servings],
            least=3,
        )


def _status(workspace: Workspace, serving: Serving) -> str:
    from trainer.serving import service

    if not serving.running:
        return "restarting" if serving.status == "restarting" else "ended"
    if service.is_abandoned(workspace, serving):
        return "abandoned"
    return "serving" if service.answers(serving) else "no answer"


@click.command(
    short_help="Stop models.", epilog="Examples: trainer serve stop skin\n\ntrainer serve stop --all"
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
    short_help="Print the log of a model's server.", epilog="Example: trainer serve logs skin --follow"
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
