"""What every command is handed: the workspace, found when it is first needed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from trainer.workspace import Workspace, find

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Settings:
    """The options of `trainer` itself."""

    workspace: Path | None = None
    debug: bool = False


def of(context: click.Context) -> Workspace:
    """The workspace of this command line. Raises `BadInput` outside of one."""
    settings = context.find_object(Settings)
    return find(settings.workspace if settings else None)


def pass_workspace(command: Callable[Concatenate[Workspace, P], R]) -> Callable[P, R]:
    """Decorator: the command's first argument is the workspace."""

    @functools.wraps(command)
    def with_workspace(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(of(click.get_current_context()), *args, **kwargs)

    return with_workspace
