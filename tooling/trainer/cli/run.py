"""`trainer run`: its options, help and completion come from the project's MLproject file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer import plan as plans
from trainer import projects, sources
from trainer.cli import consent, screen
from trainer.cli.project_command import PROJECT, SOURCE, ProjectCommand, variable
from trainer.errors import BadInput, TrainerError
from trainer.workspace import find

if TYPE_CHECKING:
    from trainer.launch import Result


def complete_project(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of a project's name, or a folder."""
    try:
        names = sources.names(find())
    except TrainerError:
        names = []
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


def complete_entry_point(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of the entry points of the project that is named before."""
    project, _entry_point = ctx.meta.get(PROJECT, (None, None))
    names = project.entry_point_names if project else []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_image(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of an image's name."""
    from trainer.cli import images

    return images.complete_image(ctx, parameter, incomplete)


def _pairs(_: click.Context, parameter: click.Parameter, values: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise BadInput(
                f"{parameter.opts[-1]} {value} is not NAME=VALUE.", f"{parameter.opts[-1]} NAME=VALUE"
            )
        if name in pairs:
            raise BadInput(f"{parameter.opts[-1]} {name} is given twice.", "Give it once.")
        pairs[name] = text
    return pairs


@click.command(
    short_help="Run a project.",
    cls=ProjectCommand,
    # `--n_estimators` is `--n-estimators`: in the MLproject it has the underscore.
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    epilog="Examples: trainer run sklearn --n-estimators 200 --dry-run\n\n"
    "trainer run https://example.com/team/models.git#forest --version v2",
)
@click.argument("project", shell_complete=complete_project, expose_value=False)
@click.option("-e", "--entry-point", default="main", show_default=True, shell_complete=complete_entry_point,
              help="What to run of the project: an entry point, or a script of it.")  # fmt: skip
@click.option(
    "-P",
    "--param",
    "given",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="A parameter, in MLflow's form; also for one named like an option below.",
)
@click.option("--version", "version", metavar="REVISION", help="Commit, tag or branch of a git URL.")
@click.option("--experiment", metavar="NAME", help="Experiment to log to. [default: the project's name]")
@click.option("--run-name", metavar="NAME", help="Name of the run. [default: one made up by the server]")
@click.option("--tag", "tags", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="A tag of the run.")
@click.option(
    "--backend",
    type=click.Choice(["docker", "local", "auto"]),
    default="docker",
    show_default=True,
    help="Where to run; auto is docker where an engine answers, else local.",
)
@click.option("--image", metavar="NAME", shell_complete=complete_image,
              help="Trainer image to run in, or any with / or : in it. [default: the project's]")  # fmt: skip
@click.option("--gpus", metavar="GPUS", help="none, all, a number, or device=0,1. [default: as the image]")
@click.option("--memory", metavar="SIZE", help="Limit of the container's memory, such as 8g.")
@click.option("--read-only/--no-read-only", default=None,
              help="Let the run write to /tmp, its folder and caches alone. [default: off]")  # fmt: skip
@click.option("--seed", type=int, metavar="N",
              help="Seed of the random numbers. [default: none; 0 with --deterministic]")  # fmt: skip
@click.option("--deterministic/--no-deterministic", default=None,
              help="Use only operations that give the same numbers twice. [default: off]")  # fmt: skip
@click.option("--base-image", metavar="IMAGE", help="Base image, should the trainer image have to be built.")
@click.option("--tracking-uri", metavar="URI", help="Tracking server. [default: the workspace's own]")
@click.option("--offline", is_flag=True,
              help="Ask no tracking server; `trainer sync` brings the run to one later.")  # fmt: skip
@click.option("--detach", is_flag=True, help="Return when the run has started.")
@click.option("--yes", is_flag=True, help=consent.YES)
@click.option("--keep-files", is_flag=True,
              help="Store files that it leaves in its folder and does not log as artifacts.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the plan; create nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@click.pass_context
def run(
    ctx: click.Context, /, given: Mapping[str, str], backend: str, tracking_uri: str | None,
    offline: bool, detach: bool, yes: bool, dry_run: bool, as_json: bool,
    **options: object,
) -> None:  # fmt: skip
    """Run PROJECT: a name under train_code/, a folder, or a git URL (URL#FOLDER for a folder of it).

    Any MLproject will do; of a folder without one, -e names the script to run.

    The parameters that the project declares are options too; see trainer run PROJECT --help.
    """
    from trainer import launch, reconcile
    from trainer.engine import NoEngine

    workspace = find()
    loaded, entry_point = ctx.meta[PROJECT]
    values = projects.named(loaded, entry_point, given)
    for parameter in entry_point.parameters:
        value = options.get(variable(parameter))
        if value is not None and parameter.name in values:
            raise projects.given_twice(parameter.name)
        if value is not None:
            values[parameter.name] = str(value)
    request = plans.RunRequest(
        project=loaded,
        source=ctx.meta[SOURCE].name,
        commit=ctx.meta[SOURCE].commit,
        entry_point=entry_point.name,
        parameters=values,
        experiment=_text(options["experiment"]),
        run_name=_text(options["run_name"]),
        tags=_mapping(options["tags"]),
        backend=_backend(backend),
        image=_text(options["image"]),
        gpus=_text(options["gpus"]),
        memory=_text(options["memory"]),
        read_only=_flag(options["read_only"]),
        base_image=_text(options["base_image"]),
        seed=_number(options.get("seed")),  # not there where it is a parameter of the project
        deterministic=_flag(options["deterministic"]),
        keep_files=options["keep_files"] is True,
    )
    plan = plans.make(workspace, request)
    _check_detached(ctx.meta[SOURCE], plan, detach)
    if dry_run:
        for remark in plan.remarks:
            click.echo(remark, err=True)
        _print_plan(plan, as_json)
        return
    allowed = consent.allowed(workspace, plan, yes=yes)
    for line in () if offline else reconcile.quickly(workspace):
        click.echo(line, err=True)
    try:
        with screen.Progress(sys.stderr.buffer if as_json else None) as progress:
            result = launch.launch(
                workspace, plan, progress, tracking_uri=tracking_uri, detach=detach, offline=offline,
                allowed=allowed,
            )  # fmt: skip
    except NoEngine as problem:
        raise problem.or_without("--backend local") from None
    print_result(result, as_json)
    if result.error:
        raise result.error


def _check_detached(source: sources.Source, plan: plans.RunPlan, detach: bool) -> None:
    """A clone is removed when this command ends, and what is mounted of it with it."""
    mounted = [mount for mount in plan.mounts if Path(mount.source).is_relative_to(plan.folder)]
    if detach and mounted and sources.is_remote(source.name):
        raise BadInput(
            f"--detach: {mounted[0].target} is a volume of the fetched project, which is removed on return.",
            "Leave out --detach, or clone the project and run the folder.",
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _flag(value: object) -> bool | None:
    return None if value is None else value is True


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _mapping(value: object) -> dict[str, str]:
    return dict(value) if isinstance(value, dict) else {}


def _backend(asked: str) -> str:
    if asked != "auto":
        return asked
    from trainer import engine
    from trainer.errors import EngineError

    try:
        engine.connect()
    except EngineError as problem:
        click.echo(f"{problem.message} Running on the local backend instead.", err=True)
        return "local"
    return "docker"


def _print_plan(plan: plans.RunPlan, as_json: bool) -> None:
    said = plan.as_json()
    if as_json:
        screen.as_json(said)
        return
    said["image"] = plan.image.tag
    said["command"] = shlex.join(plan.command)
    said["asks_to"] = "\n".join(plan.asked.wants)
    if not said["asks_to"]:
        del said["asks_to"]
    said["mounts"] = "\n".join(
        f"{mount.source} → {mount.target}{' (read-only)' if mount.read_only else ''}" for mount in plan.mounts
    )
    del said["remarks"]
    rows = []
    for name, value in said.items():
        if isinstance(value, Mapping):
            value = "\n".join(f"{key}={item}" for key, item in value.items())
        elif isinstance(value, tuple):
            value = ", ".join(value)
        rows.append((name.replace("_", " "), "" if value is None else str(value)))
    screen.table(("What", "Planned"), rows)


def print_result(result: Result, as_json: bool) -> None:
    """Show how a run ended: its metrics, status and address."""
    run_ = result.run
    if as_json:
        screen.as_json(
            {
                "run_id": run_.id,
                "name": run_.name,
                "experiment_id": run_.experiment_id,
                "status": run_.status,
                "exit_code": result.exit_code,
                "metrics": dict(run_.metrics),
                "url": run_.url,
                "error": result.error.message if result.error else None,
                "undelivered": result.undelivered.message if result.undelivered else None,
            }
        )
        return
    click.echo()
    # Those of the machine are for the UI's charts; here they would hide what the run was for.
    shown = sorted(name for name in run_.metrics if not name.startswith("system/"))
    if shown:
        screen.table(("Metric", "Value"), [(name, f"{run_.metrics[name]:.6g}") for name in shown])
        click.echo()
    colour = {"FINISHED": "green", "RUNNING": "yellow"}.get(run_.status, "red")
    click.echo(f"{screen.style(run_.status, fg=colour, bold=True)}  {run_.name}")
    if run_.url:
        click.echo(run_.url)
