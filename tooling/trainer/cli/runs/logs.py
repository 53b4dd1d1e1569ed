"""`trainer logs`: what a run has printed."""

from __future__ import annotations

import sys

import click

from trainer import subprocesses
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.runs.argument import run_argument
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Print the output of a run.",
    epilog=examples("trainer logs @last", "trainer logs -f brave-hen-7 | grep epoch"),
)
@run_argument()
@click.option("-f", "--follow", is_flag=True, help="Follow the output until the run has ended.")
@pass_workspace
def logs(workspace: Workspace, said: str, follow: bool) -> None:
    """Print the output of RUN: what there is so far of a live run, train.log of an ended one.

    RUN is the beginning of a run's id, its name, @last or @best:METRIC. Secrets are masked;
    bytes that are not text are passed through.
    """
    from trainer.backends import job_output
    from trainer.runs import attach, resolve

    try:
        with subprocesses.awake():
            output = attach.output(workspace, resolve.resolve(workspace, said), follow=follow)
            for piece in job_output.logged(output):
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:  # how one stops to follow: nothing has gone wrong
        raise SystemExit(130) from None
