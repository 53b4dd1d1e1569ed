"""What the commands of `trainer data` have in common: how datasets are named, what is said at the end."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.datasets import folders
from trainer.datasets.catalog import datasets
from trainer.datasets.names import tidy
from trainer.datasets.tables import files
from trainer.errors import InvalidInput, TrainerError
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


def complete_column(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The columns of the table that was named before."""
    from trainer.datasets.tables import header

    try:
        columns = header.columns(folders.existing(_named_before(ctx), or_table=True)) or ()
    except (TrainerError, OSError, StopIteration):
        return []
    return [CompletionItem(name) for name in columns if name.startswith(incomplete)]


def _named_before(ctx: click.Context) -> str:
    """The dataset among the arguments; raises `StopIteration` where there is none."""
    # While the option lacks its value, click leaves the arguments before it where they were.
    named = [ctx.params.get("source"), ctx.params.get("dataset"), *ctx.args]
    return next(str(name) for name in named if name)


def only_of(
    ctx: click.Context, is_table: bool, *, images: tuple[str, ...] = (), tables: tuple[str, ...] = ()
) -> None:
    """Raises `InvalidInput` for an option given that is for datasets of the other kind."""
    for name in images if is_table else tables:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(p.opts[0] for p in ctx.command.params if p.name == name)
            raise InvalidInput(
                f"{option} is for {'images' if is_table else 'tables'}, and this dataset is "
                f"{'a table' if is_table else 'a folder of images'}.",
                f"Leave {option} out.",
            )


def complete_classes(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The classes of the dataset that was named before, after what stands before the last comma."""
    from trainkit.data import image_folder
    from trainkit.errors import InputError

    before, comma, last = incomplete.rpartition(",")
    try:
        source = folders.existing(_named_before(ctx))
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


def _learner(is_table: bool) -> str | None:
    """A project that learns from the dataset: the smallest where there is that, else the first one.

    A project for tables has a parameter for a column of it. Some take both: their default is no choice, so
    something in data/. None where there is no such project.
    """
    candidates: list[tuple[bool, bool, str]] = []
    with contextlib.suppress(TrainerError):
        workspace = find()
        for name in sources.names(workspace):
            with contextlib.suppress(TrainerError):
                entry_points = mlproject.load(workspace.projects / name).entry_points
                parameters = [parameter for entry in entry_points for parameter in entry.parameters]
                takes_tables = any(p.column_of for p in parameters)
                takes_images = any(p.dataset and p.default not in p.choices for p in parameters)
                if takes_tables if is_table else takes_images:
                    candidates.append((name != _smallest(is_table), takes_tables is not is_table, name))
    return min(candidates)[-1] if candidates else None


def _smallest(is_table: bool) -> str:
    return "sklearn" if is_table else "tensorflow"


def next_steps(target: Path, *commands: str, train: bool = True, column: str = "COLUMN") -> None:
    """Print commands that a user may want now; {} stands for the dataset.

    With `train`, how to train with it is the last: a run sees what is in the workspace's data/. Of a table,
    `column` is what is learnt.
    """
    argument = folders.argument(target)
    steps = [command.format(shlex.quote(argument)) for command in commands]
    if train and folders.in_data(target) is None:
        with contextlib.suppress(TrainerError):
            steps.append(shlex.join(["ln", "-s", str(target.resolve()), f"{find().data}/"]))
    elif train:
        is_table = bool(files.of(target))
        project = _learner(is_table)
        if project is None:
            template = _smallest(is_table)
            project = f"my_{template}"
            steps.append(f"trainer new {project} --template {template}")
        learnt = f" --target {shlex.quote(column)}" if is_table else ""
        steps.append(f"trainer run {project} --data {shlex.quote(argument)}{learnt}")
    output.next_steps(steps)
