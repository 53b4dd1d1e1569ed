"""MODEL, the argument of the commands on registered models, and what a shell is offered for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from trainer.cli.context import tracking_option
from trainer.errors import TrainerError
from trainer.workspace.settings import find

F = TypeVar("F", bound=Callable[..., object])
_PATIENCE_S = 1.5  # of somebody who has pressed Tab


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completion of NAME and NAME@ALIAS."""
    from trainer import concurrency
    from trainer.models import registry
    from trainer.server import selection

    name, at, _alias = incomplete.partition("@")
    try:
        client = selection.running(find())
        if client is None:
            return []
        models = concurrency.call_with_timeout(_PATIENCE_S, lambda: registry.models(client))
    except (TrainerError, TimeoutError, OSError):
        return []
    if not at:
        return [CompletionItem(model.name) for model in models if model.name.startswith(incomplete)]
    aliases = [f"{name}@{alias}" for model in models if model.name == name for alias in model.aliases]
    return [CompletionItem(text) for text in aliases if text.startswith(incomplete)]


def complete_version_or_run(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completion of a registered model, or of a run."""
    from trainer.cli.runs.completion import complete_run

    return [*complete_model(ctx, parameter, incomplete), *complete_run(ctx, parameter, incomplete)]


def model_argument(metavar: str) -> Callable[[F], F]:
    """Decorator: the argument `said`, completed with registered models, and --tracking-uri."""
    argument = click.argument("said", metavar=metavar, shell_complete=complete_model)
    return lambda command: argument(tracking_option(command))
