"""What every command is handed: the workspace."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from trainer.workspace.settings import Workspace

P = ParamSpec("P")
R = TypeVar("R")


def choose_workspace(_: click.Context, __: click.Parameter, chosen: Path | None) -> None:
    """Callback of --workspace: from now on `settings.find` starts there, in child processes too."""
    if chosen:
        from trainer.workspace import settings

        os.environ[settings.VARIABLE] = str(chosen)


def global_option(context: click.Context, name: str) -> click.Option | None:
    """The option of `trainer` itself, which stands before the command, of that name."""
    found = (one for one in context.find_root().command.params if isinstance(one, click.Option))
    return next((option for option in found if name in option.opts), None)


def pass_workspace(command: Callable[Concatenate[Workspace, P], R]) -> Callable[P, R]:
    """Decorator: the command's first argument is the workspace. Outside of one it is an error."""

    @functools.wraps(command)
    def with_workspace(*args: P.args, **kwargs: P.kwargs) -> R:
        from trainer.workspace import settings

        return command(settings.find(), *args, **kwargs)

    return with_workspace
