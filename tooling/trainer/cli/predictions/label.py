"""`trainer predictions label`."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.predictions.chosen import complete_class, complete_id
from trainer.counted import counted
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Label predictions.",
    epilog=examples(
        "trainer predictions label 4f2a91bc melanoma",
        "trainer predictions label 4f2a91bc --clear",
        "trainer predictions label --from reviewed.csv",
    ),
)
@click.argument("prediction_id", metavar="[ID]", required=False, shell_complete=complete_id)
@click.argument("label", metavar="[CLASS]", required=False, shell_complete=complete_class)
@click.option("--from", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.csv",
              help="Read the labels from a file with the columns id and label.")  # fmt: skip
@click.option("--clear", is_flag=True, help="Take the label away.")
@click.option("--new-class", is_flag=True, help="The class may be one that the model does not have.")
@pass_workspace
def label(
    workspace: Workspace, prediction_id: str | None, label: str | None, file: Path | None, clear: bool,
    new_class: bool,
) -> None:  # fmt: skip
    """Say what the prediction with ID should have been: a class, or the number of a regression.

    ID is the beginning of an id that `trainer predictions list` prints. The prediction itself is not changed,
    and earlier labels are kept, with who gave them and when. It works while the model is served, and after.
    """
    from trainer.host import user
    from trainer.predictions import labels, log_file

    if (file is not None) != (prediction_id is None) or (file is None and clear == (label is not None)):
        raise InvalidInput(
            "Specify an id and its class, an id and --clear, or --from FILE.",
            "`trainer predictions list` has the ids.",
        )
    if file is not None and clear:
        raise InvalidInput("--clear is of one prediction, not of a file.", "Pass its id.")
    with log_file.opened(workspace) as logs:
        if file is not None:
            labellings = labels.of_file(logs, file, may_be_new=new_class)
            changed = labels.write(labellings, user.name())
            click.echo(
                f"Labelled {counted(changed, 'prediction')}; {len(labellings) - changed} had the label."
            )
            return
        labelling = labels.one(logs, prediction_id or "", label, may_be_new=new_class)
        labels.write([labelling], user.name())
        before = labelling.prediction.label
        now = "no label" if labelling.label is None else labelling.label
        click.echo(f"{labelling.prediction.id}: {now}" + (f" (was {before})" if before is not None else ""))
