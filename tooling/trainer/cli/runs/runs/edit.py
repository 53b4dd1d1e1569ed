"""`trainer runs delete`, `restore`, `rename` and `tag`: changes to runs on the tracking server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from trainer import printable
from trainer.cli.context import pass_workspace, tracking_option
from trainer.cli.examples import examples
from trainer.cli.output import tell
from trainer.cli.runs.argument import pairs, run_argument
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainer.tracking.client import Run


@click.command(
    short_help="Delete runs.",
    epilog=examples("trainer runs delete brave-hen-7", "trainer runs delete 3f2a1b9c 77ab01d2"),
)
@run_argument(several=True, required=True)
@pass_workspace
def delete(workspace: Workspace, said: tuple[str, ...]) -> None:
    """Delete each RUN. `trainer runs restore` undoes it.

    The server keeps deleted runs, with their artifacts, until its `mlflow gc` removes them.
    """
    from trainer.runs import edit

    deleted = edit.delete(workspace, said)
    _report("Deleted", deleted)
    tell(f"To undo: trainer runs restore {' '.join(run.id[:8] for run in deleted)}")


@click.command(short_help="Restore deleted runs.", epilog=examples("trainer runs restore 3f2a1b9c"))
@click.argument("said", metavar="RUN…", nargs=-1, required=True)
@tracking_option
@pass_workspace
def restore(workspace: Workspace, said: tuple[str, ...]) -> None:
    """Restore each deleted RUN. `trainer runs list --deleted` lists them."""
    from trainer.runs import edit

    _report("Restored", edit.restore(workspace, said))


@click.command(short_help="Rename a run.", epilog=examples("trainer runs rename @last baseline"))
@run_argument()
@click.argument("name", metavar="NAME")
@pass_workspace
def rename(workspace: Workspace, said: str, name: str) -> None:
    """Rename RUN to NAME."""
    from trainer.runs import edit

    before = edit.rename(workspace, said, name)
    click.echo(f"Renamed {printable.line(before.name)} ({before.id[:8]}) to {printable.line(name)}.")
    if others := edit.namesakes(workspace, before.id, name):
        tell(f"Another run has that name: {', '.join(run_id[:8] for run_id in others)}. Use the ids.")


@click.command(
    short_help="Set or remove tags of a run.",
    epilog=examples("trainer runs tag @last stage=candidate", "trainer runs tag brave-hen-7 --remove stage"),
)
@run_argument()
@click.argument("tags", metavar="[KEY=VALUE]…", nargs=-1, callback=pairs)
@click.option("--remove", "removed", multiple=True, metavar="KEY", help="Remove this tag.")
@pass_workspace
def tag(workspace: Workspace, said: str, tags: Mapping[str, str], removed: tuple[str, ...]) -> None:
    """Set tags of RUN, or remove them.

    A tag that is set already gets the new value. `mlflow.note.content` is the description in the MLflow UI.
    """
    from trainer.runs import edit

    if not (tags or removed):
        raise InvalidInput(
            "There is no tag to set or remove.", "trainer runs tag RUN KEY=VALUE, or --remove KEY"
        )
    run = edit.tag(workspace, said, tags, removed)
    _report("Tagged", [run])


def _report(done: str, runs: Iterable[Run]) -> None:
    for run in runs:
        click.echo(f"{done} {printable.line(run.name)} ({run.id[:8]}).")
