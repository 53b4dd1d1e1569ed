"""The model that MODEL of `trainer serve` means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.cli import output
from trainer.cli.predict.command import located
from trainer.errors import InvalidInput

if TYPE_CHECKING:
    from trainkit.inference.description import Description

    from trainer.serving.volume import Model


@dataclass(frozen=True)
class Chosen:
    """A model that can be served. `name` is NAME@VERSION of a registered one, else what the user said."""

    model: Model
    name: str
    description: Description | None
    """None of one that its framework runs: it says so only when it is loaded."""
    alias: str
    """NAME@ALIAS, where another version may be meant tomorrow; else nothing."""


def choose(said: str) -> Chosen:
    """The model, downloaded if need be. Raises as `locate.locate`, and `InvalidInput` for no model."""
    from trainkit.errors import InputError

    from trainer.models import registry
    from trainer.serving.volume import Model

    file = located(said)
    if file.remark:
        output.tell(file.remark)
    try:
        predictor = file.open()
    except InputError as error:
        raise InvalidInput(error.message, error.hint) from None
    name, _, number = file.name.rpartition("@")
    if not name or not number.isdecimal() or file.path == Path(said):
        model = Model(file.path, predictor.version, file.name)
        return Chosen(model, file.name, predictor.description, "")
    alias = said if registry.parse(said).alias else ""
    return Chosen(Model(file.path, predictor.version, said, number), file.name, predictor.description, alias)
