"""`trainer runs`: a list where no command follows."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.examples import examples
from trainer.cli.runs.runs.edit import delete, rename, restore, tag
from trainer.cli.runs.runs.list import list_


@click.group(
    cls=DefaultCommandGroup,
    short_help="List the runs on the tracking server.",
    subcommand_metavar="[PROJECT | COMMAND …]",
    epilog=examples("trainer runs sklearn --sort -accuracy --limit 5", "trainer runs delete brave-hen-7"),
)
def runs() -> None:
    """List runs, optionally those of PROJECT. Same as `trainer runs list`."""


for _command in (list_, delete, restore, rename, tag):
    runs.add_command(_command)
