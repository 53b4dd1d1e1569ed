"""A run that is named while it waits in the queue: it has no id yet, and no server knows it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import find

P = ParamSpec("P")
R = TypeVar("R")


def hinted(command: Callable[P, R]) -> Callable[P, R]:
    """Decorator: where the command's `said` names no run but an entry of the queue, the error says so."""

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except TrainerError as error:
            from trainer.runs.resolve import NoSuchRun
            from trainer.server.selection import NoServer

            said = kwargs["said"]
            if isinstance(error, NoSuchRun):
                _check([error.text])
            elif isinstance(error, NoServer):
                _check(said if isinstance(said, tuple) else [str(said)])
            raise

    return call


def _check(texts: Iterable[str]) -> None:
    from trainer.queue import changing

    workspace = find()
    for text in texts:
        if any(not folder.started.exists() for _, folder in changing.matching(workspace, text)):
            raise InvalidInput(
                f"There is no run {text} yet: it waits in the queue.",
                f"To take it out: trainer queue cancel {text}",
            ) from None
