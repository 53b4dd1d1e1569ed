"""`trainer images`: a list where no command follows."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.examples import examples
from trainer.cli.images.edit import add, new
from trainer.cli.images.list import list_


@click.group(
    cls=DefaultCommandGroup,
    short_help="List the trainer images, and create new ones.",
    subcommand_metavar="[COMMAND …]",
    epilog=examples("trainer images --json", "trainer images new tables --inherit sklearn"),
)
def images() -> None:
    """List the trainer images. Same as `trainer images list`."""


for _command in (list_, new, add):
    images.add_command(_command)
