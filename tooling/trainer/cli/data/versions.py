"""`trainer data snapshot`, `list`, `show`, `diff` and `verify`: the versions of datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from trainer import printable
from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.data import tables
from trainer.cli.data.arguments import dry_run_option, json_option
from trainer.cli.examples import examples
from trainer.counted import counted
from trainer.datasets.listing import ITSELF
from trainer.errors import CheckFailed, TrainerError
from trainer.workspace.settings import Workspace, find

if TYPE_CHECKING:
    from trainer.datasets.versions import Difference, State

_SHOWN = 20
_COLOURS = {"added": "green", "removed": "red", "changed": "yellow"}


def complete_name(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The datasets of the workspace."""
    from trainer.datasets import versions

    try:
        return [CompletionItem(name) for name in versions.names(find()) if name.startswith(incomplete)]
    except TrainerError:
        return []


def complete_version(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The versions of the dataset that was named before, by number and by digest."""
    from trainer.datasets import versions

    try:
        versions_known = versions.named(find(), str(ctx.params.get("name"))).manifest.versions
    except TrainerError:
        return []
    words = [str(version.number) for version in versions_known] + [
        version.digest[:8] for version in versions_known
    ]
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


name_argument = click.argument("name", shell_complete=complete_name)
all_option = click.option("--all", "everything", is_flag=True, help="Print all files, not the first few.")
full_option = click.option("--full", is_flag=True, help="Read every file, even those that seem unchanged.")


@click.command(short_help="Record a version of a dataset.", epilog=examples("trainer data snapshot data_4"))
@name_argument
@click.option(
    "--source", metavar="TEXT", help="Where others get the files, such as a URL; the manifest keeps it."
)
@full_option
@dry_run_option
@json_option
@pass_workspace
def snapshot(
    workspace: Workspace, name: str, source: str | None, full: bool, dry_run: bool, as_json: bool
) -> None:
    """Record a version of a dataset in data/NAME.manifest.json.

    Files that were not changed are not read again. Where nothing changed since the last version, nothing is
    written but a new --source.
    """
    from trainer.datasets import versions
    from trainer.datasets.build.copying import size

    with output.Bar() as bar:
        result = versions.snapshot(workspace, name, bar, dry_run=dry_run, full=full, source=source)
    version = result.version
    if as_json:
        output.as_json({"name": name, "path": result.path, "new": result.is_new, "read": result.reads,
                        "dry_run": dry_run, **version.as_json()})  # fmt: skip
    else:
        of = f"version {version.number} of {name}: {counted(version.files, 'file')}, {size(version.bytes)}"
        if not result.is_new:
            click.echo(f"Unchanged: {of}, digest {version.digest[:8]}")
        else:
            since = f" ({version.changes})" if version.number > 1 else ""
            click.echo(f"{'Would be' if dry_run else 'Made'} {of}, digest {version.digest[:8]}{since}")
    if result.ignored:
        click.echo(
            f"{output.style('Warning:', fg='yellow', bold=True)} git ignores {result.path}.\n"
            f"To track it, add this line to {result.path.parent / '.gitignore'}: !*.manifest.json",
            err=True,
        )
    elif result.is_new and not dry_run and not as_json:
        click.echo(f"{output.style('Next:', bold=True)} git add {result.path}")


@click.command(
    "list", short_help="List the datasets, and which changed.", epilog=examples("trainer data list")
)
@json_option
@pass_workspace
def list_(workspace: Workspace, as_json: bool) -> None:
    """The datasets of the workspace, and which of them changed since their last version.

    A dataset is a folder of images, or a table: a CSV file, or a folder of CSV files.
    """
    from trainer.datasets import versions

    with output.Bar() as bar:
        states = [
            versions.state(workspace, versions.named(workspace, name), bar)
            for name in versions.names(workspace)
        ]
    if as_json:
        output.as_json([state.as_json() for state in states])
    elif not states:
        click.echo("There are no datasets. Make one to try with: trainer data sample demo")
    else:
        sizes = [_sizes(state) for state in states]
        widest = max(len(total) for _, total in sizes)
        rows = [
            (state.dataset.name, state.kind or "-", state.content or "-", total.rjust(widest), state.since,
             _last(state), files)
            for state, (files, total) in zip(states, sizes, strict=True)
        ]  # fmt: skip
        headings = ("DATASET", "KIND", "CONTENT", "BYTES", "SINCE THE VERSION", "VERSION", "FILES")
        output.table(headings, rows, numbers=1, least=5)


def _last(state: State) -> str:
    last = state.dataset.manifest.last
    return f"{last.number} ({last.digest[:8]})" if last else "none"


def _sizes(state: State) -> tuple[str, str]:
    from trainer.datasets.build.copying import size

    if state.files is None or state.bytes is None:
        return "-", "-"
    return f"{state.files:,}", size(state.bytes)


@click.command(
    short_help="The versions and classes of a dataset.", epilog=examples("trainer data show data_4")
)
@name_argument
@json_option
@pass_workspace
def show(workspace: Workspace, name: str, as_json: bool) -> None:
    """The versions of a dataset, its classes, and what changed since the last version."""
    from trainer.datasets import versions
    from trainer.datasets.build.copying import size

    with output.Bar() as bar:
        state = versions.state(workspace, versions.named(workspace, name), bar)
    history = state.dataset.manifest.versions
    if as_json:
        output.as_json({**state.as_json(), "versions": [version.as_json() for version in history]})
        return
    _, total = _sizes(state)
    files = "- files" if state.files is None else counted(state.files, "file")
    of = f"{state.table}, {total}" if state.table and state.files == 1 else f"{files}, {total}"
    click.echo(f"{output.style(state.dataset.name, bold=True)}  {state.dataset.root}: {of}")
    if state.classes:
        click.echo("Classes: " + ", ".join(f"{name} ({n:,})" for name, n in state.classes.items()))
    if state.table:
        click.echo()
        tables.print_columns(state.dataset.root)
    if not history:
        if state.problem:
            click.echo(state.problem.message)
        click.echo(f"It has no versions yet. Take one: trainer data snapshot {state.dataset.name}")
        return
    click.echo()
    output.table(
        ("VERSION", "DIGEST", "TAKEN", "CHANGES", "FILES", "BYTES"),
        [
            (str(v.number), v.digest[:8], v.created, str(v.changes) if v.number > 1 else "the first",
             f"{v.files:,}", size(v.bytes))
            for v in history
        ],
        numbers=2,
        least=4,
    )  # fmt: skip
    click.echo()
    if state.dataset.manifest.source:
        click.echo(f"Source: {printable.line(state.dataset.manifest.source)}")
    click.echo(f"Since version {history[-1].number}: {state.since}")
    if state.changes:
        click.echo(f"{output.style('Next:', bold=True)} trainer data diff {state.dataset.name}")


@click.command(
    short_help="What changed between versions of a dataset.", epilog=examples("trainer data diff data_4 1 2")
)
@name_argument
@click.argument("old", required=False, shell_complete=complete_version)
@click.argument("new", required=False, shell_complete=complete_version)
@all_option
@json_option
@pass_workspace
def diff(
    workspace: Workspace, name: str, old: str | None, new: str | None, everything: bool, as_json: bool
) -> None:
    """The files that were added, removed and changed between two versions; of a table, its rows and columns.

    OLD and NEW are numbers of versions, or beginnings of digests. Without NEW, OLD is compared with the
    dataset as it is; without OLD, the last version is.
    """
    from trainer.datasets import versions

    with output.Bar() as bar:
        difference = versions.diff(workspace, name, old, new, bar)
    if as_json:
        output.as_json(
            {"name": name, "old": difference.old, "new": difference.new, **difference.changes.as_json(),
             "tables": difference.tables}
        )  # fmt: skip
        return
    _print(name, difference, everything=everything)
    click.echo(f"{name} from {difference.old} to {difference.new}: {difference.changes}")


@click.command(
    short_help="Verify that a dataset equals a version.", epilog=examples("trainer data verify data_4 --full")
)
@name_argument
@click.argument("digest", required=False, metavar="[VERSION]", shell_complete=complete_version)
@full_option
@all_option
@json_option
@pass_workspace
def verify(
    workspace: Workspace, name: str, digest: str | None, full: bool, everything: bool, as_json: bool
) -> None:
    """Check that a dataset is what it was in a version, and name the files that are not.

    VERSION is a number or the beginning of a digest; by default the last one. With --full every file is
    read, so that content that a failing disk changed is found too. Exit code 89 if there is a difference.
    """
    from trainer.datasets import versions

    with output.Bar() as bar:
        result = versions.verify(workspace, name, digest, bar, full=full)
    if as_json:
        output.as_json({"name": name, "version": result.old, "same": not result.changes,
                        **result.changes.as_json(), "tables": result.tables})  # fmt: skip
    else:
        _print(name, result, everything=everything)
    if result.changes:
        raise CheckFailed(
            f"{name} is not what it was in {result.old}: {result.changes}.",
            f"Put the files back as they were, or keep the dataset as it is: trainer data snapshot {name}",
        )
    if not as_json:
        click.echo(f"{name} is {result.old}.")


def _print(name: str, difference: Difference, *, everything: bool) -> None:
    lines = difference.changes.lines()
    for word, path in lines if everything else lines[:_SHOWN]:
        rows = f": {difference.tables[path]}" if path in difference.tables else ""
        shown = path if path != ITSELF else name
        click.echo(f"{output.style(f'{word:8}', fg=_COLOURS[word])} {shown}{rows}")
    if not everything and len(lines) > _SHOWN:
        click.echo(f"… and {len(lines) - _SHOWN:,} more (--all)")
