"""`trainer server deploy`: the tracking server on a platform."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from trainer.cli import output as screen
from trainer.cli.context import pass_workspace
from trainer.cli.live.progress import Progress
from trainer.cli.server.steps import print_steps
from trainer.counted import counted
from trainer.errors import Interrupted, InvalidInput
from trainer.workspace.settings import Workspace

WRITTEN = ("compose", "dokku", "fly", "render")
_EXAMPLES = """\b
Examples:
  trainer server deploy --platform heroku --app my-mlflow --dry-run
  trainer server deploy --platform heroku --app my-mlflow --region eu
  trainer server deploy --platform compose -o my-server
"""


@click.command(short_help="Deploy the server to a platform.", epilog=_EXAMPLES)
@click.option("--platform", type=click.Choice(["heroku", *WRITTEN]), required=True,
              help="heroku: deploys the server. Others: write the files that they need.")  # fmt: skip
@click.option("--app", metavar="NAME", help="Name of the app.")
@click.option("--region", type=click.Choice(["eu", "us"]), help="Of a new Heroku app. [default: us]")
@click.option("--team", metavar="TEAM", help="The Heroku team that a new app belongs to.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Output folder; created if it does not exist.")  # fmt: skip
@click.option("--force", is_flag=True, help="Let secrets.env name this server in the place of another one.")
@click.option("--dry-run", is_flag=True, help="Print every step, secrets masked; ask and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@pass_workspace
def deploy(
    workspace: Workspace, platform: str, app: str | None, region: str | None, team: str | None,
    output: Path | None, force: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Deploy mlflow_tracking_server/ to a platform, with generated passwords.

    On Heroku, the missing parts are created: app, add-ons (they cost money), config vars, build and release.
    The server is checked and written to secrets.env, and the next `trainer run` reports there. A second call
    changes only what differs, and completes what was interrupted.
    """
    if platform == "heroku":
        if output:
            raise InvalidInput("--output is for platforms that files are written for.", "Leave it out.")
        _heroku(workspace, _named(app), region, team, force, dry_run, as_json)
        return
    for name, value in (("--region", region), ("--team", team), ("--force", force)):
        if value:
            raise InvalidInput(f"{name} needs --platform heroku.", "Leave it out.")
    _write(
        workspace, platform, _named(app) if platform == "fly" else app or "mlflow", output, dry_run, as_json
    )


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


def _write(
    workspace: Workspace, platform: str, app: str, output: Path | None, dry_run: bool, as_json: bool
) -> None:
    from trainer.deploy import files
    from trainer.server.files import FOLDER

    if output is None:
        raise InvalidInput(f"Where are the files for {platform} to go?", "Specify a folder: -o DIR")
    platform_files = files.make(workspace, platform, app)
    written = files.planned(platform_files, output) if dry_run else files.write(platform_files, output)
    if as_json:
        screen.as_json(
            {"platform": platform, "folder": str(output), "files": written, "next": platform_files.next}
        )
        return
    states = [written[path] for path in platform_files.copied]
    rows = [
        (state, str(output / path)) for path, state in written.items() if path not in platform_files.copied
    ]
    if new := states.count("new"):
        rows.insert(0, ("new", f"{output / FOLDER}{os.sep} ({counted(new, 'file')})"))
    if same := states.count("same"):
        rows.insert(0, ("same", f"{output / FOLDER}{os.sep} ({counted(same, 'file')})"))
    for state, path in rows:
        click.echo(f"{state:4}  {path}")
    click.echo()
    click.echo(screen.style("What to do next", bold=True))
    for line in (f"cd {shlex.quote(str(output))}", *platform_files.next):
        click.echo(f"  {line}".rstrip())
