"""`trainer predictions list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.predictions.chosen import options
from trainer.counted import counted
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.predictions.reader import Agreement, Chosen, Prediction


@click.command(
    "list",
    short_help="List predictions.",
    epilog=examples(
        "trainer predictions list skin --since 7d",
        "trainer predictions list --below 0.6 --unlabelled --limit 100",
        "trainer predictions list skin@3 --class melanoma --json",
    ),
)
@options
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N",
              help="Number of predictions to list.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def list_(workspace: Workspace, name: str | None, chosen: Chosen, limit: int, as_json: bool) -> None:
    """List the last predictions of MODEL, or of all models that were served here, the newest first.

    MODEL is the name that it was served as, or NAME@VERSION. Where predictions have labels, a last line says
    how many of these agree.
    """
    from trainer.predictions import export, log_file, reader

    with log_file.opened(workspace, name) as logs:
        found = list(reader.predictions(logs, chosen, limit))
        if as_json:
            output.as_json([export.plain(each) for each in found])
            return
        if not found:
            _tell_none(logged=bool(logs))
            return
        output.table(
            ("ID", "TIME", "ANSWER", "CONFIDENCE", "LABEL", "MODEL"),
            [_row(reader.shortened(logs, each.id), each) for each in found],
            least=5,
        )
        for log in logs:
            if agreement := reader.agreement(log, chosen):
                click.echo(f"{log.name}: {_said(agreement)}")


def _tell_none(*, logged: bool) -> None:
    output.tell("No such prediction is logged." if logged else "No predictions are logged.")
    if not logged:
        output.next_steps(["trainer serve MODEL"])


def _row(short: str, prediction: Prediction) -> tuple[str, ...]:
    return (
        short, f"{prediction.time.astimezone():%Y-%m-%d %H:%M}",
        prediction.answer if prediction.answer is not None else f"{prediction.value:.6g}",
        "" if prediction.confidence is None else f"{prediction.confidence:10.1%}", prediction.label or "",
        prediction.called if prediction.version else prediction.name,
    )  # fmt: skip


def _said(agreement: Agreement) -> str:
    labels = counted(agreement.labels, "label")
    if agreement.agreeing is None:
        return f"{labels}, mean absolute error {agreement.error:.4g}"
    return f"{labels}, accuracy {agreement.agreeing / agreement.labels:.1%}"
