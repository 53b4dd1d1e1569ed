"""`trainer models download`: a model's files, to be used elsewhere."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import figures, output
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.models.argument import complete_version_or_run
from trainer.counted import counted
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.models.download import Downloaded


@click.command(
    short_help="Download a model.",
    epilog=examples(
        "trainer models download skin@champion",
        "trainer models download skin@3 models/skin.onnx",
        "trainer models download @last --all",
    ),
)
@click.argument("said", metavar="MODEL", shell_complete=complete_version_or_run)
@click.argument("to", metavar="[DEST]", required=False, type=click.Path(path_type=Path))
@click.option("--all", "every", is_flag=True, help="Download all files that MLflow has of it, to a folder.")
@click.option("--force", is_flag=True, help="Replace existing files.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@tracking_option
@pass_workspace
def download(
    workspace: Workspace, said: str, to: Path | None, every: bool, force: bool, as_json: bool
) -> None:
    """Download the ONNX file of MODEL, which is NAME@ALIAS, NAME@VERSION or a run, to DEST.

    DEST is a file that ends in .onnx, or a folder; in a folder the file is named after the model, such as
    skin-3.onnx. With --all, DEST is the folder for all files, by default skin-3. The digest of the ONNX file
    is checked. An existing file is not replaced without --force.
    """
    from trainer.models import download as use_case
    from trainer.subprocesses import interruptible

    bring = use_case.whole if every else use_case.file
    with interruptible(), output.Bar(counts_bytes=True) as bar:
        done = bring(workspace, said, to, bar, replace=force)
    if as_json:
        output.as_json(
            {
                "model": done.name,
                "sha256": done.sha256,
                "onnx": done.onnx,
                "files": [asdict(file) for file in done.files],
            }
        )
        return
    _print(said, done)


def _print(said: str, done: Downloaded) -> None:
    for file in done.files:
        click.echo(printable.line(str(file.path)))
    new = [file for file in done.files if not file.was_there]
    size = figures.size(sum(file.size for file in new))
    there = len(done.files) - len(new)
    if not new:
        output.tell(f"{printable.line(done.name)} is there already, with the same content.")
    else:
        kept = f"; {counted(there, 'file')} there already" if there else ""
        output.tell(f"Downloaded {printable.line(done.name)}: {counted(len(new), 'file')} ({size}){kept}.")
    if done.onnx:
        output.next_steps([f"trainer predict {shlex.quote(str(done.onnx))} INPUT"])
