"""`trainer new`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from trainer.cli import output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.runs.completion import complete_project
from trainer.errors import InvalidInput, TrainerError
from trainer.projects import mlproject, sources
from trainer.scaffold import templates
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace


def _complete_template(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in templates.names() if name.startswith(incomplete)]


def _run(workspace: Workspace, name: str) -> Record | None:
    """The run of that name, if there is one. Raises `AmbiguousRun`."""
    from trainer.runs import resolve

    try:
        return resolve.resolve(workspace, name)
    except resolve.AmbiguousRun:
        raise
    except TrainerError:
        return None


@contextmanager
def _copied(workspace: Workspace, origin: str) -> Iterator[tuple[Path, str]]:
    """Within: the folder of a project, or of the code stored with a run; and options to run a copy with."""
    try:
        source = sources.resolve(workspace, origin)
    except InvalidInput as no_project:
        record = _run(workspace, origin)
        if record is None:
            raise no_project from None
    else:
        # A folder with a run's name may be what `trainer download` made.
        is_project = mlproject.project_file(source.folder)
        record = None if is_project else _run(workspace, origin)
    if record:
        from trainer.runs import stored_run

        with stored_run.code_of(workspace, record) as folder:
            yield folder, f" --like {shlex.quote(origin)}"
        return
    try:
        yield source.folder, ""
    except TrainerError as error:
        source.name_in(error)
        raise
    finally:
        source.close()


@click.command(
    short_help="Create a project from a template, another project, or a run.",
    epilog=examples(
        "trainer new mine --template tensorflow",
        "trainer new better --from mine",
        "trainer new theirs --from brave-hen-7",
    ),
)
@click.argument("name")
@click.option("--template", metavar="NAME", shell_complete=_complete_template,
              help=f"What to start from: {', '.join(templates.names())}.")  # fmt: skip
@click.option("--from", "origin", metavar="PROJECT|RUN", shell_complete=complete_project,
              help="What to copy: a project (name, folder, or git URL), or the code of a run.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be created; create nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_workspace
def new(
    workspace: Workspace, name: str, template: str | None, origin: str | None, dry_run: bool, as_json: bool
) -> None:
    """Create the project train_code/NAME. It runs as it is; `# CHANGE` marks the places to make it yours.

    Where a template's default dataset is not in data/, one of made-up images is made.
    """
    from trainer.scaffold import projects
    from trainer.subprocesses import interruptible

    if (template is None) == (origin is None):
        raise InvalidInput(
            "Specify either a template or a project to copy.",
            f"--template {'|'.join(templates.names())}, or --from PROJECT",
        )
    with interruptible(), output.Bar() as bar:
        place = _copied(workspace, origin) if origin else nullcontext((templates.place(template or ""), ""))
        with place as (folder, like):
            planned = projects.plan(workspace, name, folder)
            if not dry_run:
                projects.make(planned, bar)
    if as_json:
        output.as_json({"path": planned.target, "files": planned.files, "data": planned.samples,
                        "dry_run": dry_run})  # fmt: skip
        return
    verb = "Would make" if dry_run else "Made"
    for sample in planned.samples:
        click.echo(f"{verb} {sample}: made-up images to try with (another one: --data NAME)")
    click.echo(f"{verb} {planned.target}: {', '.join(planned.files)}")
    if not dry_run:
        readme = planned.target / "README.md"
        reading = [f"{readme.relative_to(workspace.root)} says what to change, step by step"]
        output.next_steps([f"trainer run {name}{like}", *(reading if readme.exists() else [])])
