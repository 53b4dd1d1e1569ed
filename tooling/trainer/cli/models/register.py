"""`trainer models register`: from a run to a version of a registered model."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.runs.argument import run_argument
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.models.register import Registered


@click.command(
    short_help="Register the model of a run.",
    epilog=examples("trainer models register @last", "trainer models register brave-hen-7 --name skin"),
)
@run_argument()
@click.option("--name", metavar="NAME", help="Name of the model. [default: that of the run's project]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def register(workspace: Workspace, said: str, name: str | None, as_json: bool) -> None:
    """Export the model of RUN to ONNX, check that it answers as before, and register it as a new version.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. A model that cannot be exported is
    registered as the run has logged it.
    """
    from trainer.models import register as use_case

    with Progress(sys.stderr.buffer) as progress:
        registered = use_case.register(workspace, said, name, progress)
    if as_json:
        unexported = registered.unexported
        output.as_json(
            {
                **asdict(registered.version),
                "was_there": registered.was_there,
                "unexported": asdict(unexported) if unexported else None,
            }
        )
        return
    _print(registered)


def _print(registered: Registered) -> None:
    from trainer.models import version_tags
    from trainer.models.version_tags import FORMAT, ONNX

    version = registered.version
    tags = {key: printable.line(value) for key, value in version.tags.items()}
    named = f"{version.model}@{version.number}"
    if registered.was_there:
        output.tell(f"The run is registered already, as {named}.")
    click.echo(output.style(printable.line(named), bold=True))
    if unexported := registered.unexported:
        output.tell(f"Warning: there is no ONNX file of it. {printable.line(unexported.reason)}")
        output.tell(printable.line(unexported.hint))
    if tags.get(FORMAT) == ONNX:
        is_classifier = tags[version_tags.TASK] == "classification"
        same = f"{tags[version_tags.SAME_CLASS]} the same class, " if is_classifier else ""
        compared = f"{tags[version_tags.FRAMEWORK]} on {tags[version_tags.SAMPLES]} samples"
        click.echo(
            f"ONNX Runtime compared with {compared}:\n"
            f"  {same}largest difference {tags[version_tags.DIFFERENCE]}"
        )
        click.echo(f"sha256 {tags[version_tags.SHA256]}")
    elif FORMAT in tags:
        click.echo(f"Serving it takes {tags[FORMAT]}, as in the image {tags[version_tags.IMAGE]}.")
    use = [f"trainer predict {named} INPUT"] if tags.get(FORMAT) == ONNX else []
    output.next_steps([*use, f"trainer models promote {named} --alias champion"])
