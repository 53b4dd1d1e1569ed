"""What every command is handed: the workspace."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from types import TracebackType

    from trainer.workspace.settings import Workspace

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])
_SERVER = "trainer.tracking_uri"


class CommandContext(click.Context):
    """A context that stands in every misuse of its command: click leaves it out where a value is missing."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        """Close it, as click does."""
        if isinstance(exc_value, click.UsageError) and exc_value.ctx is None:
            exc_value.ctx = self
        return super().__exit__(exc_type, exc_value, tb)


def choose_workspace(_: click.Context, __: click.Parameter, chosen: Path | None) -> None:
    """Callback of --workspace: from now on `settings.find` starts there, in child processes too."""
    if chosen:
        from trainer.workspace import settings

        os.environ[settings.VARIABLE] = str(chosen)


def global_option(context: click.Context, name: str) -> click.Option | None:
    """The option of `trainer` itself, which stands before the command, of that name."""
    options = (
        parameter for parameter in context.find_root().command.params if isinstance(parameter, click.Option)
    )
    return next((option for option in options if name in option.opts), None)


def tracking_option(command: F) -> F:
    """Decorator: --tracking-uri, for a command that looks at what is on a tracking server."""

    def keep(context: click.Context, _: click.Parameter, uri: str | None) -> None:
        context.meta[_SERVER] = uri

    return click.option(
        "--tracking-uri",
        metavar="URI",
        expose_value=False,
        callback=keep,
        help="Tracking server to look at. [default: the one that runs report to]",
    )(command)


def pass_workspace(command: Callable[Concatenate[Workspace, P], R]) -> Callable[P, R]:
    """Decorator: the command's first argument is the workspace. Outside of one it is an error.

    It knows the server of `tracking_option`.
    """

    @functools.wraps(command)
    def with_workspace(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(current_workspace(), *args, **kwargs)

    return with_workspace


def current_workspace() -> Workspace:
    """The workspace, for a command that can do without one. It knows the server of `tracking_option`.

    Raises `InvalidInput` outside of one.
    """
    from trainer.workspace import settings

    workspace, uri = settings.find(), click.get_current_context().meta.get(_SERVER)
    return replace(workspace, server_asked_for=uri) if uri else workspace
