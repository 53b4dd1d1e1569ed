"""`trainer init`."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import click

from trainer.cli import output
from trainer.cli.examples import examples
from trainer.errors import InvalidInput


@click.command(short_help="Create a workspace.", epilog=examples("trainer init my_models"))
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@click.option("--dry-run", is_flag=True, help="Show what would be created; create nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def init(folder: str, dry_run: bool, as_json: bool) -> None:
    """Create a workspace in DIR, or here: settings, folders for projects and data, and git.

    Existing files are not changed. Images, templates and the tracking server are those that trainer
    brings; an image of your own is a folder in trainer_images/.
    """
    from trainer.scaffold import workspaces
    from trainer.subprocesses import interruptible

    if not folder:
        raise InvalidInput(
            "The name of the folder is empty.",
            "Specify a folder, or a dot for the current one: trainer init .",
        )
    planned = workspaces.plan(Path(folder))
    if not dry_run:
        with interruptible():
            workspaces.make(planned)
    if as_json:
        output.as_json({"path": planned.root, "made": sorted(planned.files), "there": planned.there,
                        "ignored": planned.ignore, "git": planned.begin_git, "dry_run": dry_run})  # fmt: skip
        return
    verb = "would be made" if dry_run else "made"
    status = dict.fromkeys(planned.there, "there already") | dict.fromkeys(planned.files, verb)
    if planned.ignore:
        added = "to be added" if dry_run else "added"
        status[".gitignore"] = f"there already; {added}: {', '.join(planned.ignore)}"
    if planned.begin_git:
        status[".git/"] = verb
    output.table(("FILE", "STATUS"), sorted(status.items()))
    click.echo(f"{'Would be a' if dry_run else 'A'} workspace: {planned.root}")
    if shutil.which("git") is None:
        click.echo("git is not installed: runs will not record which commit they come from.", err=True)
    if not dry_run:
        is_here = planned.root == Path.cwd()
        steps = [] if is_here else [f"cd {shlex.quote(os.path.relpath(planned.root))}"]
        output.next_steps([*steps, "trainer new mine --template tensorflow", "trainer run mine"])
