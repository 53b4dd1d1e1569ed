"""What a shell is offered for the arguments of the commands on runs."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from trainer.errors import TrainerError
from trainer.workspace.settings import find


def complete_project(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of a project's name, or a folder."""
    from trainer.projects import sources

    try:
        names = sources.names(find())
    except TrainerError:
        names = []
    items = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return items or [CompletionItem(incomplete, type="dir")]


def complete_entry_point(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of the entry points of the project that is named before."""
    from trainer.cli.runs.project.options import PROJECT

    project, _entry_point = ctx.meta.get(PROJECT, (None, None))
    names = project.entry_point_names if project else []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_run(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of a run that this workspace started."""
    return _runs(incomplete, live=False)


def complete_live_run(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of a live run of this workspace."""
    return _runs(incomplete, live=True)


def _runs(incomplete: str, *, live: bool) -> list[CompletionItem]:
    from trainer.runs import resolve

    try:
        candidates = resolve.candidates(find(), incomplete, live=live)
    except TrainerError:
        return []
    return [CompletionItem(name, help=text) for name, text in candidates]


def complete_image(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of an image's name."""
    from trainer.cli.images import commands

    return commands.complete_image(ctx, parameter, incomplete)
