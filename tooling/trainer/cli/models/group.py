"""`trainer models`: a list where no command follows."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.examples import examples
from trainer.cli.models.download import download
from trainer.cli.models.listing import history, list_, show
from trainer.cli.models.moves import rollback
from trainer.cli.models.promote import promote
from trainer.cli.models.register import register


@click.group(
    cls=DefaultCommandGroup,
    short_help="Manage registered models.",
    epilog=examples("trainer models register @last --name skin", "trainer models promote skin@3"),
)
def models() -> None:
    """Manage the models that are registered on the tracking server. By itself: `trainer models list`."""


for _command in (register, list_, show, history, promote, rollback, download):
    models.add_command(_command)
