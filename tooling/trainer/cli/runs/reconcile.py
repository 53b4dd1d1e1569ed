"""`trainer reconcile`: end the runs whose launcher is gone."""

from __future__ import annotations

import socket

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.failures import explain
from trainer.cli.queue.next import start_next
from trainer.workspace.settings import Workspace


@click.command(short_help="End runs whose launcher no longer exists.", epilog=examples("trainer reconcile"))
@click.option("--wait", "run_id", metavar="RUN", help="Supervise this detached run until it ends.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_workspace
def reconcile(workspace: Workspace, run_id: str | None, as_json: bool) -> None:
    """End runs whose launcher is gone: their log is stored, their status set, their container removed.

    Runs that are still going, and those of other machines that share the workspace, are left alone. `trainer
    run` and `trainer ps` do this by themselves.
    """
    from trainer.runs import reconcile as use_case
    from trainer.sweeps import cut_off
    from trainer.workspace import refusals, run_folders

    start_next(workspace)
    for unreadable in run_folders.unreadable(workspace):
        click.echo(str(unreadable), err=True)
    findings = [use_case.wait_for(workspace, run_id)] if run_id else list(use_case.reconcile(workspace))
    rows = [
        {"run_id": finding.record.run_id, "name": finding.record.name, "project": finding.record.project,
         "host": finding.record.host, "status": finding.status,
         "refused": str(refused) if (refused := refusals.of_run(workspace, finding.record.run_id)) else None,
         "error": explain(finding.error)[0] if finding.error else None}
        for finding in findings
    ]  # fmt: skip
    rows += [
        {"run_id": sweep.run_id, "name": "", "project": sweep.project, "host": socket.gethostname(),
         "status": "KILLED", "refused": None, "error": None}
        for sweep in (() if run_id else cut_off.end(workspace))
    ]  # fmt: skip
    if as_json:
        output.as_json(rows)
    elif rows:
        output.table(
            ("RUN", "PROJECT", "HOST", "STATUS"),
            # Of a launch that died nobody here may know the run's id.
            [
                [
                    str(row["run_id"] or row["name"] or "-"),
                    *(str(row[key]) for key in ("project", "host", "status")),
                ]
                for row in rows
            ],
        )
    else:
        click.echo("Nothing to do: no run is unattended.")
    for refused in refusals.all_refused(workspace):
        click.echo(f"{refused} It is in {refused.folder}", err=True)
    for finding in findings:
        if finding.error:
            raise finding.error
