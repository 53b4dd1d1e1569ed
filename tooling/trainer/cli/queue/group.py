"""`trainer queue`."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.examples import examples
from trainer.cli.queue.change import cancel, move, pause, resume
from trainer.cli.queue.install import install
from trainer.cli.queue.list import list_
from trainer.cli.queue.work import attend, work


@click.group(
    cls=DefaultCommandGroup,
    short_help="Manage the runs that wait for their turn.",
    epilog=examples(
        "trainer run sklearn --n-estimators 500 --queue",
        "trainer queue move 3f9a --first",
        "trainer queue cancel 3f9a",
    ),
)
def queue() -> None:
    """Manage the runs that were queued with `trainer run PROJECT --queue`.

    By default, list them. Each starts by itself when the machine has what it needs.
    """


for _command in (list_, cancel, pause, resume, move, work, attend, install):
    queue.add_command(_command)
