"""`trainer sweep PROJECT`: a sweep is begun, or goes on."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from trainer.backends import registry
from trainer.cli import consent
from trainer.cli.runs.argument import pairs
from trainer.cli.runs.completion import complete_entry_point, complete_image, complete_project
from trainer.cli.runs.project.command import SOURCE
from trainer.cli.runs.project.options import PROJECT, chosen_values
from trainer.cli.sweep import chosen, printed
from trainer.cli.sweep.command import TYPED, SweepCommand
from trainer.cli.sweep.printed import SweepProgress
from trainer.errors import FileError, Interrupted, InvalidInput
from trainer.subprocesses import interruptible
from trainer.sweeps.search.spec import Pruner, Sampler, SweepSpec
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainer.sweeps.opening import Opened
    from trainer.sweeps.screen import Outcome
    from trainer.sweeps.state import SweepFolder

_SHOWN = 5


@click.command(
    "run",
    cls=SweepCommand,
    hidden=True,
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)
@click.argument("project", required=False, shell_complete=complete_project, expose_value=False)
@click.option("--search", "searched", multiple=True, metavar="NAME=DOMAIN", help="A parameter to search.")
@click.option("--metric", "metrics", multiple=True, metavar="METRIC[:GOAL]",
              help="What a trial is judged by; several: the Pareto front is found.")  # fmt: skip
@click.option("--goal", type=click.Choice(["maximize", "minimize"]), help="Which way the metric is better.")
@click.option("--trials", type=click.IntRange(1), metavar="N",
              help="How many trials. [default: 20; all of a grid]")  # fmt: skip
@click.option("--parallel", type=click.IntRange(1), metavar="N", help="How many at once. [default: 1]")
@click.option("--constraint", "constraints", multiple=True, metavar="METRIC<=LIMIT",
              help="A bound that the best trial has to keep to.")  # fmt: skip
@click.option("--sampler", type=click.Choice(get_args(Sampler)), help="How to search. [default: tpe]")
@click.option("--pruner", type=click.Choice(get_args(Pruner)),
              help="When to stop a trial that is not promising. [default: none]")  # fmt: skip
@click.option("--try", "tries", multiple=True, callback=chosen.configurations, metavar="NAME=VALUE,…",
              help="A configuration to begin with.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1), metavar="N",
              help="Runs of each trial, whose mean counts; each has its own seed. [default: 1]")  # fmt: skip
@click.option("--stop-after", type=click.IntRange(1), metavar="N",
              help="End after N trials without a better one.")  # fmt: skip
@click.option("--timeout", callback=chosen.seconds, metavar="TIME", help="End after so long: 90s, 30m, 8h.")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed of the search. [default: 0]")
@click.option("-e", "--entry-point", shell_complete=complete_entry_point, metavar="NAME",
              help="Entry point to run. [default: main]")  # fmt: skip
@click.option("-P", "--param", "given", multiple=True, callback=pairs, metavar="NAME=VALUE",
              help="A parameter that all trials share.")  # fmt: skip
@click.option("--version", "version", metavar="REVISION", help="Commit, tag or branch of a git URL.")
@click.option("--experiment", metavar="NAME", help="Experiment to log to. [default: the project's name]")
@click.option("--tag", "tags", multiple=True, callback=pairs, metavar="KEY=VALUE",
              help="A tag of all its runs.")  # fmt: skip
@click.option("--backend", type=click.Choice(registry.names()), help="Where to run. [default: docker]")
@click.option("--image", metavar="NAME", shell_complete=complete_image,
              help="Image to run in, as of `trainer run`.")  # fmt: skip
@click.option("--gpus", metavar="GPUS", help="GPUs of each trial, as of `trainer run`.")
@click.option("--cpus", type=click.IntRange(1), metavar="N",
              help="Cores of each trial's own. [default: its share of all]")  # fmt: skip
@click.option("--memory", metavar="SIZE", help="Memory limit of each trial, such as 8g.")
@click.option("--tracking-uri", metavar="URI", help="Tracking server. [default: the workspace's own]")
@click.option("--resume", "resumed", metavar="RUN", help="Go on with the sweep of this parent run.")
@click.option("--new", is_flag=True, help="Begin another sweep, though one of the same command can go on.")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the sweep to FILE; run nothing.")  # fmt: skip
@click.option("--yes", is_flag=True, help=consent.YES)
@click.option("--dry-run", is_flag=True, help="Show the first trials; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@click.pass_context
def start(
    ctx: click.Context, /, tracking_uri: str | None, resumed: str | None, new: bool, save: Path | None,
    yes: bool, dry_run: bool, as_json: bool, **options: object,
) -> None:  # fmt: skip
    """Search the parameters of PROJECT."""
    from trainer.sweeps import requests, state

    workspace = find()
    if resumed:
        if PROJECT in ctx.meta:
            raise InvalidInput("--resume goes on with what the sweep began with.", "Leave out the project.")
        _go_on(workspace, _found(workspace, resumed), yes=yes, as_json=as_json)
        return
    if PROJECT not in ctx.meta:
        raise click.MissingParameter(ctx=ctx, param_type="argument", param_hint="PROJECT")
    project, entry_point = ctx.meta[PROJECT]
    given = options.pop("given")
    values = chosen_values(project, entry_point, given if isinstance(given, dict) else {}, options)
    spec = chosen.spec(ctx, ctx.meta[TYPED], values, options)
    requests.check(spec, project)
    if save:
        _save(save, spec)
        return
    if dry_run:
        _show(spec, as_json=as_json)
        return
    if not new and (earlier := state.like(workspace, spec)):
        _go_on(workspace, earlier, yes=yes, as_json=as_json)
        return
    from trainer.runs import reconcile
    from trainer.sweeps import opening

    origin = requests.Origin(ctx.meta[SOURCE].name, ctx.meta[SOURCE].commit)
    first = opening.first_plan(workspace, spec, opening.request_of(workspace, spec, project, origin))
    allowed = consent.allowed(workspace, first, yes=yes)
    for line in reconcile.quickly(workspace):
        click.echo(line, err=True)
    with (
        interruptible(),
        _progress(as_json) as progress,
        opening.begun(
            workspace, spec, project, origin, progress, tracking_uri=tracking_uri, allowed=allowed
        ) as opened,
    ):
        outcome = _run(opened, progress)
    printed.outcome(outcome, spec, as_json=as_json)


def _go_on(workspace: Workspace, folder: SweepFolder, *, yes: bool, as_json: bool) -> None:
    from trainer.sweeps import opening

    with interruptible(), _progress(as_json) as progress:
        allowed = consent.allowed(workspace, opening.plan_of(workspace, folder), yes=yes)
        with opening.resumed(workspace, folder, progress, allowed) as opened:
            progress.remark(f"The sweep {opened.parent.name} ({opened.parent.id[:8]}) goes on.")
            outcome = _run(opened, progress)
    printed.outcome(outcome, opened.spec, as_json=as_json)


def _progress(as_json: bool) -> SweepProgress:
    return SweepProgress(sys.stderr.buffer if as_json else None)


def _run(opened: Opened, progress: SweepProgress) -> Outcome:
    from trainer.sweeps.controller import Controller

    parent = opened.parent
    progress.remark(f"Sweep {parent.name} ({parent.id})\n{parent.url}")
    try:
        return Controller(opened, progress).run()
    except Interrupted as interrupted:
        interrupted.hint = f"To go on: the same command, or trainer sweep --resume {parent.id[:8]}"
        raise


def _found(workspace: Workspace, text: str) -> SweepFolder:
    from trainer.sweeps import state

    folder = state.find(workspace, text)
    if folder is None:
        known = ", ".join(each.parent_id[:8] for each in state.unfinished(workspace))
        raise InvalidInput(
            f"There is no unfinished sweep {text} in this workspace.",
            f"There are {known}." if known else "Begin one: trainer sweep PROJECT --search NAME=DOMAIN",
        )
    return folder


def _save(path: Path, spec: SweepSpec) -> None:
    from trainer.sweeps.search import spec_file

    if path.exists():
        raise FileError(f"{path} exists.", "Name another file, or remove it first.")
    try:
        spec_file.write(path, spec)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.", "Name another place.") from None
    click.echo(f"Written: {path}")
    click.echo(f"Next: trainer sweep {shlex.quote(str(path))}")


def _show(spec: SweepSpec, *, as_json: bool) -> None:
    """The first trials, as they would be if none had a result."""
    from trainer.sweeps.studies.study import Study

    with tempfile.TemporaryDirectory() as folder:
        study = Study.open(Path(folder) / "study", spec)
        asked: list[dict[str, str]] = []
        while len(asked) < min(_SHOWN, spec.trials or _SHOWN) and not study.is_exhausted:
            asked.append(dict(study.ask().values))
    printed.first_trials(spec, asked, as_json=as_json)
