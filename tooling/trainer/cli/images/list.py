"""`trainer images`, without a command: what there is."""

from __future__ import annotations

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.images import spec as declared
from trainer.images import trainer_image
from trainer.workspace.settings import Workspace


@click.command(
    "list",
    short_help="List the trainer images and whether they are built.",
    epilog=examples("trainer images list --json"),
)
@click.option(
    "--base-image", metavar="IMAGE", help="Compare with builds on this image. [$TRAINER_BASE_IMAGE]"
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def list_(workspace: Workspace, base_image: str | None, as_json: bool) -> None:
    """List the trainer images and whether they are built and up to date."""
    from trainer.engine import daemon
    from trainer.images import build

    client = daemon.connect()
    plans = [
        trainer_image.plan(workspace, image, base_image) for image in declared.discover(workspace).values()
    ]
    states = [(plan, build.state(client, plan.tag, plan.latest)) for plan in plans]
    if as_json:
        output.as_json(
            [{"name": plan.spec.name, "aliases": plan.spec.aliases, "status": state.status, "tag": plan.tag,
              "size_mb": state.size_mb, "gpu": plan.spec.gpu, "description": plan.spec.description}
             for plan, state in states]
        )  # fmt: skip
        return
    output.table(
        ("NAME", "STATUS", "SIZE", "TAG", "DESCRIPTION"),
        [(", ".join([plan.spec.name, *plan.spec.aliases]), state.status,
          f"{state.size_mb} MB" if state.size_mb else "", plan.tag, plan.spec.description)
         for plan, state in states],
        least=4,
    )  # fmt: skip
