"""`trainer server copy-runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.counted import counted
from trainer.errors import TrackingError
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.server_copy.plan import Plan

_TOLD = 20  # lines on a terminal; --json has all


@click.command(
    "copy-runs",
    short_help="Copy runs and models from one server to another.",
    epilog=examples(
        "trainer server copy-runs http://old.example.com own --dry-run",
        "trainer server copy-runs http://old.example.com https://new.example.com --from-credentials OLD",
    ),
)
@click.argument("origin", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--experiment", "names", metavar="NAME", multiple=True, help="Only this experiment; can be repeated."
)
@click.option("--deleted", is_flag=True, help="Also copy deleted runs and experiments, as deleted ones.")
@click.option("--from-credentials", "origin_variables", metavar="PREFIX",
              help="FROM's are in PREFIX_USERNAME and PREFIX_PASSWORD, or PREFIX_TOKEN.")  # fmt: skip
@click.option("--to-credentials", "target_variables", metavar="PREFIX", help="The same for TO.")
@click.option("--dry-run", is_flag=True, help="Show what would be copied; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_workspace
def copy_runs(
    workspace: Workspace, origin: str, target: str, names: tuple[str, ...], deleted: bool,
    origin_variables: str | None, target_variables: str | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Copy experiments, runs and registered models from the tracking server FROM to TO.

    Both are addresses, or `own` for the workspace's own server. FROM has MLflow 1.30 or newer, TO 2.9 or
    newer. What was copied is compared; a call that was interrupted is continued by the same call, and nothing
    is copied twice. Variables are those of the environment or of secrets.env.
    """
    from trainer.server_copy import copying, ends, plan
    from trainer.subprocesses import interruptible

    with interruptible(), output.Bar() as bar, ends.place(workspace) as folder:
        first = ends.find(workspace, origin, origin_variables)
        second = ends.find(workspace, target, target_variables)
        planned = plan.make(first, second, names, bar, deleted=deleted)
        plan.check_room(planned, folder)
        report = None if dry_run else copying.copy(planned, folder, bar)
    payload: dict[str, object] = {
        "from": first.server.uri,
        "to": second.server.uri,
        "plan": _summary(planned),
    }
    if report is None:
        output.as_json(payload) if as_json else _show_plan(planned)
        return
    kinds = [kind for kind, number in report.there.items() if number]
    rows = [
        {"what": kind, "there": report.there[kind], "equal": report.equal[kind], "copied": report.made[kind]}
        for kind in kinds
    ]
    if as_json:
        omissions = [
            {"where": omission.where, "what": omission.what, "why": omission.why} for omission in report.told
        ]
        output.as_json({**payload, "compared": rows, "told": omissions})
    else:
        keys = ("what", "there", "equal", "copied")
        headings = ("WHAT", "ON FROM", "EQUAL ON TO", "COPIED NOW")
        output.table(headings, [tuple(str(row[key]) for key in keys) for row in rows])
    for omission in report.told[:_TOLD]:
        click.echo(str(omission), err=True)
    if len(report.told) > _TOLD:
        click.echo(f"and {len(report.told) - _TOLD} more: --json has all", err=True)
    for line in (*planned.remarks, *report.remarks):
        click.echo(line, err=True)
    if report.told:
        raise TrackingError(
            f"{counted(len(report.told), 'item')} of {first.server.uri} could not be copied unchanged; "
            "the rest is copied.",
            f"Each is named above. What {second.server.uri} refused, it refuses again.",
        )


def _summary(planned: Plan) -> list[dict[str, object]]:
    return [
        {
            "experiment": experiment.experiment.name,
            "runs": len(experiment.runs),
            "copied": sum(run.record.run.id in planned.copies for run in experiment.runs),
            "artifacts": sum(len(run.files) for run in experiment.runs),
            "bytes": sum(file.size or 0 for run in experiment.runs for file in run.files),
        }
        for experiment in planned.experiments
    ]


def _show_plan(planned: Plan) -> None:
    rows = [
        (*(str(row[key]) for key in ("experiment", "runs", "copied", "artifacts")), f"{row['bytes']:,}")
        for row in _summary(planned)
    ]
    output.table(("EXPERIMENT", "RUNS", "COPIED", "ARTIFACTS", "BYTES"), rows)
    for model in planned.models:
        click.echo(f"Registered model {model.name}: {counted(len(model.versions), 'version')}")
    for line in planned.remarks:
        click.echo(line, err=True)
