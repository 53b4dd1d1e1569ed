"""`trainer models`: a list where no command follows."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.models.listing import history, list_, show
from trainer.cli.models.moves import rollback
from trainer.cli.models.promote import promote


@click.group(
    cls=DefaultCommandGroup,
    short_help="Manage registered models.",
    epilog="Examples: trainer models show skin\n\ntrainer models promote skin@3 --alias champion",
)
def models() -> None:
    """Manage the models that are registered on the tracking server. By itself: `trainer models list`."""


for _command in (list_, show, history, promote, rollback):
    models.add_command(_command)
