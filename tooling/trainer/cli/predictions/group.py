"""`trainer predictions`."""

from __future__ import annotations

import click

from trainer.cli.commands import DefaultCommandGroup
from trainer.cli.examples import examples
from trainer.cli.predictions.export import export
from trainer.cli.predictions.label import label
from trainer.cli.predictions.list import list_


@click.group(
    cls=DefaultCommandGroup,
    short_help="List, export and label what served models predicted.",
    epilog=examples(
        "trainer predictions skin --below 0.6 --unlabelled",
        "trainer predictions label 4f2a91bc melanoma",
        "trainer predictions export skin.csv skin --since 7d",
    ),
)
def predictions() -> None:
    """List, export and label what the models have predicted that `trainer serve` has served.

    By default, list it. The log stays when a model is stopped.
    """


for _command in (list_, export, label):
    predictions.add_command(_command)
