"""`trainer serve deploy`: a model on a platform."""

from __future__ import annotations

import sys

import click

from trainer.cli import output
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.predict.command import complete_any_model, located
from trainer.cli.server.steps import print_steps
from trainer.errors import Interrupted
from trainer.workspace.settings import Workspace


@click.command(
    short_help="Deploy a model to a platform.",
    epilog=examples(
        "trainer serve deploy skin@champion --platform heroku --app my-skin --dry-run",
        "trainer serve deploy skin@champion --platform heroku --app my-skin --region eu",
    ),
)
@click.argument("model", metavar="MODEL", shell_complete=complete_any_model)
@click.option("--platform", type=click.Choice(["heroku"]), required=True, help="Where it is to be served.")
@click.option("--app", metavar="NAME", required=True, help="Name of the app, shared by all users of Heroku.")
@click.option("--region", type=click.Choice(["eu", "us"]), help="Of a new app. [default: us]")
@click.option("--team", metavar="TEAM", help="The Heroku team that a new app belongs to.")
@click.option("--dry-run", is_flag=True, help="Print every step, secrets masked; ask and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; all else goes to stderr.")
@tracking_option
@pass_workspace
def deploy(
    workspace: Workspace, model: str, platform: str, app: str, region: str | None, team: str | None,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Serve MODEL as an app of a platform, from an image with the model in it.

    The image is that of `trainer build-image serve --model MODEL`: it is built here, pushed and released. The
    app answers only requests with its token, which is made once and kept. A second call changes only what
    differs, and completes what was interrupted.
    """
    from trainer.deploy.heroku_plan import App
    from trainer.deploy.served import heroku
    from trainer.engine import daemon
    from trainer.images import build
    from trainer.serving import baked
    from trainer.subprocesses import interruptible

    wanted = App(app, region, team)
    file = located(model)
    if file.remark:
        output.tell(file.remark)
    planned = baked.plan(workspace, file)
    image = heroku.Image(planned.tag, planned.labels[baked.SHA256])
    if dry_run:
        steps = heroku.plan(wanted, image).steps
        if as_json:
            output.as_json({"platform": platform, "app": app, "steps": [step.as_json() for step in steps]})
        else:
            print_steps(steps)
        return
    try:
        # In a log, all that the platform says of it.
        with interruptible(), Progress(sys.stderr.buffer, plain=not sys.stderr.isatty()) as progress:
            client = daemon.connect()
            build.ensure(workspace, client, planned, progress)
            outcome = heroku.deploy(client, wanted, image, progress)
    except Interrupted:
        click.echo("What was created so far stays; the same command continues from there.", err=True)
        raise
    if as_json:
        output.as_json({"platform": platform, "app": app, "uri": outcome.uri, "image": image.tag,
                        "sha256": image.sha256, "changed": list(outcome.changed)})  # fmt: skip
        return
    click.echo(f"{output.style('Ready', fg='green', bold=True)}  {file.name} on Heroku, app {app}")
    click.echo(outcome.uri)
    click.echo(f"It answers with the token: {outcome.token}")
