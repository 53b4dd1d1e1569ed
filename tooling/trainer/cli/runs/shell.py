"""`trainer shell`: a shell in the container that a run would have."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from trainer.cli import consent, output
from trainer.cli.context import pass_workspace
from trainer.cli.examples import examples
from trainer.cli.live.progress import Progress
from trainer.cli.runs.completion import complete_image, complete_project, complete_run
from trainer.workspace.settings import Workspace

_SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash; exec sh")


def complete_place(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of a project, an image or a run."""
    completions = (complete_project, complete_image, complete_run)
    items = {item.value: item for complete in completions for item in complete(ctx, parameter, incomplete)}
    return list(items.values())


@click.command(
    short_help="Open a shell in the container that a run would have.",
    epilog=examples(
        "trainer shell sklearn",
        "trainer shell @last -- python train.py --help",
        "trainer shell --image pytorch train_code/sklearn",
    ),
)
@click.argument("name", metavar="PROJECT|IMAGE|RUN", shell_complete=complete_place)
@click.argument("command", metavar="[-- COMMAND…]", nargs=-1, type=click.UNPROCESSED)
@click.option("--image", metavar="NAME", shell_complete=complete_image,
              help="Trainer image for a project, or any with / or : in it. [default: its own]")  # fmt: skip
@click.option("--gpus", metavar="GPUS", help="none, all, a number, or device=0,1. [default: as the image]")
@click.option("--yes", is_flag=True, help=consent.YES)
@pass_workspace
def shell(
    workspace: Workspace,
    /,
    name: str,
    command: tuple[str, ...],
    image: str | None,
    gpus: str | None,
    yes: bool,
) -> None:
    """Open a shell with the image, code, data, caches and secrets of a run, or run COMMAND there.

    A RUN has its own image, code and data, as `trainer reproduce` finds them; an IMAGE has no code. What is
    changed in the code is gone afterwards, and so is what MLflow logs.
    """
    from trainer.sessions import plans, session

    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with (
        Progress(sys.stderr.buffer) as progress,
        plans.of(workspace, name, progress, image=image, gpus=gpus) as plan,
    ):
        progress.stop()
        allowed = consent.allowed(workspace, plan, yes=yes)

        def begin() -> None:
            progress.stop()
            if is_terminal and not command:
                output.tell(f"{plan.image.tag}: `exit` ends it, and with it all that was changed here.")

        ended = session.run(
            workspace, plan, command or _SHELL, progress, terminal=is_terminal, begin=begin, allowed=allowed
        )
    click.get_current_context().exit(ended.code)
