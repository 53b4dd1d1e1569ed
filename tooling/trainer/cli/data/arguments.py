"""What the commands of `trainer data` have in common: how datasets are named, what is said at the end."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.datasets import folders
from trainer.datasets.catalog import datasets
from trainer.datasets.names import tidy
from trainer.errors import TrainerError
from trainer.projects import mlproject, sources
from trainer.workspace.settings import find

link_option = click.option(
    "--link",
    type=click.Choice(["copy", "reflink", "hard"]),
    default="copy",
    show_default=True,
    help="Copies; clones that share disk space (Btrfs, XFS); or the same files under a second name.",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would be done; change nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def complete_dataset(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The workspace's datasets; folders where none of them begins like that."""
    try:
        names = [name for name in datasets(find()) if name.startswith(incomplete)]
    except TrainerError:
        names = []
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="dir")]


def complete_classes(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The classes of the dataset that was named before, after what stands before the last comma."""
    from trainkit.data import image_folder
    from trainkit.errors import InputError

    before, comma, last = incomplete.rpartition(",")
    # While the option lacks its value, click leaves the arguments before it where they were.
    named = [ctx.params.get("source"), *ctx.args]
    try:
        source = folders.existing(next(str(name) for name in named if name))
        classes = image_folder.scan(source).classes
    except (TrainerError, InputError, OSError, StopIteration):
        return []
    # A name with blanks in it is offered as `rename-classes` would have it: no shell has to quote that.
    offered = [name if " " not in name else tidy(name) for name in classes]
    return [CompletionItem(before + comma + name) for name in offered if name.startswith(last)]


def warn_of_links(link: str) -> None:
    """Say what hard links mean."""
    if link == "hard":
        click.echo(
            f"{output.style('Warning:', fg='yellow', bold=True)} the files are those of the source: "
            "what is changed in one place is changed in the other.",
            err=True,
        )


def _learner() -> str | None:
    """A project that takes a dataset: the small network where there is that, else the first one, or None."""
    candidates = []
    with contextlib.suppress(TrainerError):
        workspace = find()
        for name in sources.names(workspace):
            with contextlib.suppress(TrainerError):
                entry_points = mlproject.load(workspace.projects / name).entry_points
                if any(parameter.dataset for entry in entry_points for parameter in entry.parameters):
                    candidates.append(name)
    return "tensorflow" if "tensorflow" in candidates else next(iter(candidates), None)


def next_steps(target: Path, *commands: str, train: bool = True) -> None:
    """Print commands that a user may want now; {} stands for the dataset.

    With `train`, how to train with it is the last: a run sees what is in the workspace's data/.
    """
    argument = folders.argument(target)
    steps = [command.format(shlex.quote(argument)) for command in commands]
    if train and "/" in argument:
        with contextlib.suppress(TrainerError):
            steps.append(shlex.join(["ln", "-s", str(target.resolve()), f"{find().data}/"]))
    elif train:
        project = _learner()
        if project is None:
            project = "my_tensorflow"
            steps.append(f"trainer new {project} --template tensorflow")
        steps.append(f"trainer run {project} --data {shlex.quote(argument)}")
    output.next_steps(steps)
