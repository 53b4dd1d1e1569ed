"""Typed parameters of an entry point, and the check that a value is what its type says."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainkit.errors import did_you_mean

from trainer.errors import InvalidInput

CLASSES, TWO_CLASSES, QUANTITY = LEARNT = ("classes", "two classes", "quantity")
"""What the target of a table can be. Two classes are classes too."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an entry point, as declared. `default` None means that it must be given."""

    name: str
    type: str = "string"
    default: str | None = None
    help: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    dataset: bool = False
    """Whether the value names a file or folder in the workspace's data/, a URI, or a choice."""
    column_of: str = ""
    """The parameter that names the table which the value is a column of, or several with commas between."""
    target_as: Mapping[str, str] = field(default_factory=dict)
    """Of some values, what they take the target of a table for: `classes` or `quantity`."""
    learns: Mapping[str, str] = field(default_factory=dict)
    """Of some values, what alone they can learn: one of `LEARNT`."""

    @property
    def option(self) -> str:
        """The parameter as an option of the command line: `--n-estimators`."""
        return "--" + self.name.replace("_", "-")

    def names_data(self, value: str) -> bool:
        """Whether a dataset is what the value names."""
        return self.dataset and value not in self.choices


def is_elsewhere(path: str) -> bool:
    """Whether the value of a path is a URI, and not of a file of this host."""
    return re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:/", path) is not None


def check_value(parameter: Parameter, value: str) -> None:
    """Raises `InvalidInput` naming parameter, value and type when the value is not of the declared kind."""
    wrong = InvalidInput(
        f"{parameter.option} is {value!r}, which is not of type {parameter.type}.",
        _expectation(parameter),
    )
    if parameter.type in ("int", "float"):
        try:
            number = int(value) if parameter.type == "int" else float(value)
        except ValueError:
            raise wrong from None
        # Written so that `nan`, which compares as false with everything, is refused where a bound is set.
        above = parameter.minimum is None or number >= parameter.minimum
        below = parameter.maximum is None or number <= parameter.maximum
        if not (above and below):
            raise InvalidInput(
                f"{parameter.option} is {value}, which is out of range.", _expectation(parameter)
            )
    if parameter.type == "uri" and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        raise wrong
    if parameter.type == "path" and not is_elsewhere(value) and not Path(value).exists():
        raise InvalidInput(
            f"{parameter.option} names {value}, which is not there.", "Specify a file or folder."
        )
    # What is no choice of a dataset's may be in data/, which is looked into later (`catalog.check`).
    if parameter.choices and value not in parameter.choices and not parameter.dataset:
        raise InvalidInput(
            f"{parameter.option} is {value!r}, which is not one of its choices.",
            nearest(value, parameter.choices, "They are"),
        )


def check_text(name: str, value: str) -> None:
    """Raises `InvalidInput` for bytes of the command line that are no UTF-8: a server would store others."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            f"The value of {name} is not UTF-8: {os.fsencode(value)!r}",
            "Pass it in UTF-8; rename a file whose name is not.",
        ) from None


def _expectation(parameter: Parameter) -> str:
    kind = {"int": "a whole number", "float": "a number", "uri": "a URI such as s3://bucket/key"}
    text = f"Pass {kind.get(parameter.type, 'a value')}"
    if parameter.minimum is not None:
        text += f", {parameter.minimum:.15g} at least"
    if parameter.maximum is not None:
        text += f", {parameter.maximum:.15g} at most"
    example = f"; the default is {parameter.default}" if parameter.default is not None else ""
    return text + example + "."


def nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    """A hint: the name that was probably meant, else all of them."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1)
    return did_you_mean(near[0]) if near else f"{otherwise} {', '.join(names)}."
