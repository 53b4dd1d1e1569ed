"""`trainer download`: artifacts of a run."""

from __future__ import annotations

from pathlib import Path

import click

from trainer import printable
from trainer.cli import figures, output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.runs.argument import run_argument
from trainer.counted import counted
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Download the artifacts of a run.",
    epilog=examples("trainer download @last", "trainer download brave-hen-7 model/model.keras -o models"),
)
@run_argument()
@click.argument("artifact", required=False)
@click.option("-o", "--output", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to download to. [default: .; for all artifacts ./NAME of the run]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was downloaded as JSON.")
@pass_workspace
def download(
    workspace: Workspace, said: str, artifact: str | None, folder: Path | None, as_json: bool
) -> None:
    """Download ARTIFACT of RUN, a file or a folder, or all artifacts.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. Files that are there already are
    kept, so that the same command continues an interrupted download.
    """
    from trainer.runs import download as use_case
    from trainer.subprocesses import interruptible

    with interruptible():
        plan = use_case.plan(workspace, said, artifact, folder)
        with output.Bar(counts_bytes=True) as bar:
            use_case.fetch(plan, bar)
    if as_json:
        payload = {
            "run_id": plan.run.id,
            "downloaded": [
                {"path": file.path, "file": str(file.target), "bytes": file.size} for file in plan.missing
            ],
            "present": [
                {"path": file.path, "file": str(file.target), "bytes": file.size} for file in plan.present
            ],
        }
        output.as_json(payload)
        return
    for file in plan.missing:
        click.echo(printable.line(str(file.target)))
    size = figures.size(sum(file.size for file in plan.missing))
    kept = f"; {counted(len(plan.present), 'file')} there already" if plan.present else ""
    output.tell(f"Downloaded {counted(len(plan.missing), 'file')} ({size}){kept}.")
