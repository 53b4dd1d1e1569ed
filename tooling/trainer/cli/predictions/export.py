"""`trainer predictions export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.predictions.chosen import options
from trainer.counted import counted
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.predictions.reader import Chosen


@click.command(
    short_help="Export predictions to a file.",
    epilog=examples(
        "trainer predictions export answers.csv",
        "trainer predictions export doubtful.jsonl skin --below 0.6 --since 2026-11-01",
    ),
)
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@options
@click.option("--force", is_flag=True, help="Replace an existing file.")
@pass_workspace
def export(workspace: Workspace, path: Path, name: str | None, chosen: Chosen, force: bool) -> None:
    """Export predictions of MODEL, or of all models that were served here, to FILE: a .csv or .jsonl.

    It has all probabilities, and the labels; the JSON lines have the embeddings, too. A CSV whose column
    label is filled in is what `trainer predictions label --from` reads.
    """
    from trainer.predictions import export as files
    from trainer.predictions import log_file, reader
    from trainer.subprocesses import interruptible

    with interruptible(), log_file.opened(workspace, name) as logs:
        found = reader.predictions(logs, chosen)
        count = files.to_file(found, reader.classes(logs), path, replace=force)
    click.echo(f"{path}: {counted(count, 'prediction')}")
