"""Which predictions are meant: the argument and the options that the commands share, and their completion."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from trainer.errors import InvalidInput, TrainerError
from trainer.workspace.settings import find

if TYPE_CHECKING:
    pass

F = TypeVar("F", bound=Callable[..., object])
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_OFFERED = 20


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models that have a log."""
    from trainer.predictions import places

    try:
        names = places.names(find())
    except TrainerError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_id(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The last predictions."""
    from trainer.predictions import log_file, reader
    from trainer.predictions.reader import Chosen

    try:
        with log_file.opened(find()) as logs:
            return [
                CompletionItem(reader.shortened(logs, each.id), help=f"{each.answer or each.value}")
                for each in reader.predictions(logs, Chosen(), _OFFERED)
                if each.id.startswith(incomplete)
            ]
    except TrainerError:
        return []


def complete_class(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The classes of the prediction that is named before, or of all models."""
    from trainer.predictions import labels, log_file, reader

    try:
        with log_file.opened(find()) as logs:
            if given := ctx.params.get("prediction_id"):
                names = labels.classes(*reader.found(logs, given))
            else:
                names = reader.classes(logs)
    except TrainerError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class Since(click.ParamType[datetime]):
    """A time ago, such as 7d, or a date."""

    name = "since"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """When that was; a date without a zone is in this machine's."""
        if isinstance(value, datetime):
            return value
        try:
            if match := re.fullmatch(r"(\d{1,6})([mhdw])", value):
                return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time. Use 30m, 12h, 7d, 2w, or a date such as 2026-11-28.", param, ctx
            )


def options(command: F) -> F:
    """Decorator: MODEL, and options for some of its predictions; the command gets `name` and `chosen`."""

    @click.argument("said", metavar="[MODEL]", required=False, shell_complete=complete_model)
    @click.option("--since", type=Since(), metavar="TIME", help="Only since then: 12h, 7d, 2026-11-28.")
    @click.option("--class", "answer", metavar="CLASS", shell_complete=complete_class,
                  help="Only answers with this class.")  # fmt: skip
    @click.option("--below", type=click.FloatRange(0, 1), metavar="CONFIDENCE",
                  help="Only answers with less confidence, such as 0.6.")  # fmt: skip
    @click.option("--labelled/--unlabelled", "is_labelled", default=None,
                  help="Only those with a label, or without.")  # fmt: skip
    @click.option(
        "--shadow", is_flag=True, help="Those of the model that was asked beside (--shadow of serve)."
    )
    @functools.wraps(command)
    def wrapped(
        *arguments: object, said: str | None, since: datetime | None, answer: str | None, below: float | None,
        is_labelled: bool | None, shadow: bool, **others: object,
    ) -> object:  # fmt: skip
        from trainer.predictions.reader import Chosen

        name, version = _parsed(said)
        chosen = Chosen(since, version, answer, below, is_labelled, "shadow" if shadow else "champion")
        return command(*arguments, name=name, chosen=chosen, **others)

    return wrapped  # type: ignore[return-value]


def _parsed(said: str | None) -> tuple[str | None, str | None]:
    if said is None:
        return None, None
    name, at, version = said.partition("@")
    if at and not version.isdecimal():
        raise InvalidInput(
            f"{said} is no model with a log.", "Use the name that it is served as, or NAME@VERSION."
        )
    return name, version or None
