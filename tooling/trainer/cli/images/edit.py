"""`trainer images new` and `add`: images of the workspace's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.images.commands import complete_image
from trainer.cli.live.progress import Progress
from trainer.counted import counted
from trainer.errors import TrainerError
from trainer.images import lock
from trainer.images import spec as declared
from trainer.scaffold.image_contents import Contents, LeftOut
from trainer.workspace.settings import Workspace, find


def _complete_own_image(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The images that are the workspace's own."""
    try:
        workspace = find()
        specs = declared.discover(workspace)
    except TrainerError:
        return []
    return [CompletionItem(name, help=image.description) for name, image in specs.items()
            if name.startswith(incomplete) and image.folder.parent == workspace.images]  # fmt: skip


@click.command(
    short_help="Create an image.",
    epilog=examples(
        "trainer images new tables --from requirements.txt --inherit sklearn",
        "trainer images new mine --from Dockerfile",
    ),
)
@click.argument("name")
@click.option("--from", "source", metavar="FILE",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Take the packages of a requirements.txt, or what a Dockerfile installs.")  # fmt: skip
@click.option("--inherit", "inherits", metavar="IMAGE", shell_complete=complete_image,
              help="Add to this trainer image.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be created; create nothing.")
@pass_workspace
def new(workspace: Workspace, name: str, source: Path | None, inherits: str | None, dry_run: bool) -> None:
    """Create the image trainer_images/NAME: image.yaml, requirements.in and its lock, requirements.txt.

    A Dockerfile is read and not executed. Its base image, Debian packages and Python packages are taken;
    every instruction that is not is named, with its line.
    """
    from trainer.scaffold import images
    from trainer.subprocesses import interruptible

    with interruptible(), Progress() as progress:
        contents = images.contents_of(source) if source else Contents()
        planned = images.plan(workspace, name, contents, inherits)
        if not dry_run:
            progress.step(f"Resolving the packages of {name}")
            images.make(workspace, planned)
    _tell_left_out(planned.left_out)
    if dry_run:
        click.echo(f"Would make {planned.target}: {', '.join(images.FILES)}")
        for file, text in planned.files.items():
            click.echo(f"\n{file}:")
            click.echo("".join(f"  {line}\n" if line else "\n" for line in text.splitlines()), nl=False)
        return
    click.echo(f"Made {planned.target}: {', '.join(images.FILES)}")
    output.next_steps([f"trainer build-image {name}"])


@click.command(
    short_help="Add packages to an image of the workspace.",
    epilog=examples("trainer images add tables 'tabulate>=0.9' openpyxl"),
)
@click.argument("name", shell_complete=_complete_own_image)
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE…")
@pass_workspace
def add(workspace: Workspace, name: str, packages: tuple[str, ...]) -> None:
    """Add packages to the requirements.in of the image NAME, and compile its lock again.

    A PACKAGE may have a version, as in requirements.txt; it replaces the line of requirements.in that has the
    same package. The versions that are locked stay, as far as the new packages allow; those of the image that
    NAME inherits from always do.
    """
    from trainer.scaffold import images
    from trainer.subprocesses import interruptible

    with interruptible(), Progress() as progress:
        addition = images.plan_addition(workspace, name, packages)
        source = addition.image.folder / lock.SOURCE
        progress.step(f"Resolving the packages of {addition.image.name}")
        changed = images.add(workspace, addition)
    if not changed:
        click.echo(f"{source} has {'it' if len(packages) == 1 else 'them'} already.")
        return
    if addition.packages:
        click.echo(f"Added {counted(len(addition.packages), 'package')} to {source}")
    else:
        click.echo(f"Compiled {addition.image.lock}, which did not fit {lock.SOURCE}")
    output.next_steps([f"trainer build-image {addition.image.name}"])


def _tell_left_out(left_out: Sequence[LeftOut]) -> None:
    if left_out:
        output.tell(f"Not taken from {left_out[0].file}:")
    for each in left_out:
        output.tell(f"  line {each.line}: {each.what}")
