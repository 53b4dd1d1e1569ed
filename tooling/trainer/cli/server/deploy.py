"""`trainer server deploy`: the tracking server on a platform."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli import output as screen
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.predict.command import complete_any_model
from trainer.cli.serve.chosen import choose
from trainer.cli.server.steps import print_steps
from trainer.counted import counted
from trainer.errors import Interrupted, InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.deploy.files import PlatformFiles
    from trainer.serving.volume import Model

WRITTEN = ("compose", "dokku", "fly", "render")
PROFILES = ("s3", "observe")
_EXAMPLES = examples(
    "trainer server deploy --platform heroku --app my-mlflow --dry-run",
    "trainer server deploy --platform heroku --app my-mlflow --region eu",
    "trainer server deploy --platform compose --model skin@champion --profile observe",
)


@click.command(short_help="Deploy the server to a platform.", epilog=_EXAMPLES)
@click.option("--platform", type=click.Choice(["heroku", *WRITTEN]), required=True,
              help="heroku: deploys the server. Others: write the files that they need.")  # fmt: skip
@click.option("--app", metavar="NAME", help="Name of the app.")
@click.option("--region", type=click.Choice(["eu", "us"]), help="Of a new Heroku app. [default: us]")
@click.option("--team", metavar="TEAM", help="The Heroku team that a new app belongs to.")
@click.option("--model", metavar="MODEL", shell_complete=complete_any_model,
              help="compose: the model that is served beside it.")  # fmt: skip
@click.option("--profile", "profiles", type=click.Choice(PROFILES), multiple=True,
              help="compose: s3, artifacts in SeaweedFS; observe, Prometheus and Grafana.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Output folder; created if it does not exist. [default: of compose, deploy]")  # fmt: skip
@click.option("--force", is_flag=True,
              help="Replace edited files; on Heroku, the server that secrets.env names.")  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="Print each step or difference, secrets masked; change nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@pass_workspace
def deploy(
    workspace: Workspace, platform: str, app: str | None, region: str | None, team: str | None,
    model: str | None, profiles: tuple[str, ...], output: Path | None, force: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Deploy mlflow_tracking_server/ to a platform, with generated passwords.

    On Heroku, the missing parts are created: app, add-ons (they cost money), config vars, build and release.
    The server is checked and written to secrets.env, and the next `trainer run` reports there. A second call
    changes only what differs, and completes what was interrupted.
    """
    for name, value in (("--model", model), ("--profile", profiles)):
        if value and platform != "compose":
            raise InvalidInput(f"{name} needs --platform compose.", "Leave it out.")
    if platform == "heroku":
        if output:
            raise InvalidInput("--output is for platforms that files are written for.", "Leave it out.")
        _heroku(workspace, _named(app), region, team, force, dry_run, as_json)
        return
    for name, value in (("--region", region), ("--team", team)):
        if value:
            raise InvalidInput(f"{name} needs --platform heroku.", "Leave it out.")
    from trainer.deploy import platforms
    from trainer.deploy.compose.stack import Wanted

    if platform == "compose":
        output = output or Path("deploy")
    elif output is None:
        raise InvalidInput(f"Where are the files for {platform} to go?", "Specify a folder: -o DIR")
    if platform == "compose":
        # Of this workspace alone: stacks of one name on one engine have the same containers and volumes.
        name = app or f"mlflow-{workspace.identity[:8]}"
    else:
        name = _named(app) if platform == "fly" else app or "mlflow"
    platform_files = platforms.make(workspace, platform, name, output, Wanted(_model(model), profiles))
    _write(platform, platform_files, output, force, dry_run, as_json)


def _named(app: str | None) -> str:
    if app is None:
        raise InvalidInput(
            "The app has no name.", "Names are shared by all users of the platform: --app my-mlflow"
        )
    return app


def _heroku(
    workspace: Workspace, name: str, region: str | None, team: str | None, force: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    from trainer.deploy import heroku
    from trainer.deploy.heroku_plan import App
    from trainer.subprocesses import interruptible

    app = App(name, region, team)
    if dry_run:
        steps = heroku.plan(workspace, app).steps
        if as_json:
            screen.as_json({"platform": "heroku", "app": name, "steps": [step.as_json() for step in steps]})
            return
        print_steps(steps)
        return
    try:
        # In a log, all that the platform says of it.
        plain = not sys.stderr.isatty()
        with interruptible(), Progress(sys.stderr.buffer, plain=plain) as progress:
            outcome = heroku.deploy(workspace, app, progress, force=force)
    except Interrupted:
        click.echo("What was created so far stays; the same command continues from there.", err=True)
        raise
    if as_json:
        screen.as_json(
            {"platform": "heroku", "app": outcome.app, "uri": outcome.uri, "mlflow": outcome.version,
             "changed": list(outcome.changed), "secrets_file": str(workspace.secrets_file)}
        )  # fmt: skip
    else:
        ready = screen.style("Ready", fg="green", bold=True)
        click.echo(f"{ready}  MLflow {outcome.version} on Heroku, app {outcome.app}")
        click.echo(outcome.uri)
        click.echo(f"Runs report there: its address, user and password are in {workspace.secrets_file.name}.")
    elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
    if elsewhere and elsewhere.rstrip("/") != outcome.uri:
        click.echo("But MLFLOW_TRACKING_URI of the environment comes first: unset it.", err=True)


def _model(text: str | None) -> Model | None:
    from trainer.serving import service

    if text is None:
        return None
    chosen = choose(text)
    service.check_name(service.name_of(chosen.model.label))
    return chosen.model


def _write(
    platform: str, platform_files: PlatformFiles, output: Path, force: bool, dry_run: bool, as_json: bool
) -> None:
    from trainer.deploy import files
    from trainer.deploy.compose import stack

    if dry_run:
        states = files.planned(platform_files, output)
    else:
        states = files.write(platform_files, output, force=force)
        if platform == "compose" and (remark := stack.finish(output)):
            screen.tell(remark)
    if as_json:
        screen.as_json(
            {"platform": platform, "folder": str(output), "files": states, "next": platform_files.next}
        )
    else:
        _print(platform_files, output, states)
    if dry_run and not force:
        files.refuse_edited(states, output)


def _print(platform_files: PlatformFiles, output: Path, states: dict[str, str]) -> None:
    from trainer.deploy import files

    folders: dict[tuple[str, str], int] = {}
    for path in sorted(platform_files.copied):
        key = (states[path], path.partition("/")[0])
        folders[key] = folders.get(key, 0) + 1
    rows = [
        (state, f"{output / folder}{os.sep} ({counted(number, 'file')})")
        for (state, folder), number in folders.items()
        if state != files.DIFFERS
    ]
    rows += [
        (state, str(output / path))
        for path, state in states.items()
        if path not in platform_files.copied or state == files.DIFFERS
    ]
    width = max(4, *(len(state) for state, _ in rows))
    for state, path in rows:
        click.echo(f"{state:{width}}  {path}")
    edited = [path for path, state in states.items() if state == files.DIFFERS]
    for path in edited:
        click.echo()
        click.echo(printable.lines(files.difference(platform_files, output, path)))
    if edited:
        return
    click.echo()
    click.echo(screen.style("What to do next", bold=True))
    for line in (f"cd {shlex.quote(str(output))}", *platform_files.next):
        click.echo(f"  {line}".rstrip())
