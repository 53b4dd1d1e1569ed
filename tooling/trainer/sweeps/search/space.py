"""What is searched: a domain for each parameter, as it is written on a command line and in a file.

learning_rate=loguniform:1e-5,1e-2      a number, its logarithm being uniform
dropout=uniform:0,0.5                   a number; with a third one, only multiples of it: uniform:0,0.5,0.1
depth=int:2,8                           a whole number, both ends included; logint:16,1024
optimizer=adam,sgd                      one of these
momentum=uniform:0,0.9 if optimizer=sgd only where another one has that value, or one of several
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainer.errors import InvalidInput
from trainer.projects.mlproject import EntryPoint
from trainer.projects.parameters import Parameter, check_value, nearest
from trainer.sweeps.search.domains import Choices, Domain, Interval

_KINDS = ("uniform", "loguniform", "int", "logint")
_EXAMPLE = "learning_rate=loguniform:1e-5,1e-2, depth=int:2,8, optimizer=adam,sgd"
_CONDITION = re.compile(r"\s+if\s+(?P<name>[^=\s]+)=(?P<values>.+)$")


@dataclass(frozen=True)
class Condition:
    """That another dimension has one of these values."""

    name: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}={','.join(self.values)}"


@dataclass(frozen=True)
class Dimension:
    """A parameter that is searched."""

    name: str
    domain: Domain
    condition: Condition | None = None

    @property
    def text(self) -> str:
        """Its domain and condition as `parse` reads them, behind the name."""
        return f"{self.domain.text} if {self.condition.text}" if self.condition else self.domain.text

    def applies(self, values: Mapping[str, str]) -> bool:
        """Whether it is searched where the dimensions before it have these values."""
        return self.condition is None or values.get(self.condition.name) in self.condition.values


def parse(said: Sequence[str]) -> tuple[Dimension, ...]:
    """The dimensions, each behind the one that it depends on. Raises `InvalidInput`."""
    dimensions: dict[str, Dimension] = {}
    for text in said:
        name, equals, rest = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InvalidInput(f"--search {text!r} names no parameter.", f"Write it so: {_EXAMPLE}")
        if name in dimensions:
            raise InvalidInput(f"The parameter {name} is searched twice.", "Keep one of the two.")
        dimensions[name] = _dimension(name, rest)
    return tuple(_ordered(dimensions))


def _dimension(name: str, text: str) -> Dimension:
    condition = None
    if found := _CONDITION.search(text):
        condition = Condition(found["name"], _words(found["values"]))
        text = text[: found.start()]
    kind, colon, rest = text.strip().partition(":")
    if colon and kind in _KINDS:
        return Dimension(name, _interval(name, kind, rest), condition)
    values = _words(text)
    if colon and re.fullmatch(r"[a-z]+", kind) and re.fullmatch(r"[-+.\deE, ]+", rest):
        raise InvalidInput(
            f"{name}: there is no distribution {kind}.", nearest(kind, _KINDS, "The distributions are")
        )
    if not all(values):
        raise InvalidInput(f"{name} has an empty value among its choices.", f"Write it so: {_EXAMPLE}")
    if twice := next((value for value in values if values.count(value) > 1), None):
        raise InvalidInput(f"{name} has the choice {twice} twice.", "Keep one of the two.")
    return Dimension(name, Choices(values), condition)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _interval(name: str, kind: str, text: str) -> Interval:
    words = _words(text)
    whole, log = "int" in kind, kind.startswith("log")
    example = f"{name}={kind}:{'16,1024' if whole else '1e-5,1e-2' if log else '0,0.5'}"
    try:
        numbers = [float(int(word)) if whole else float(word) for word in words]
    except ValueError:
        number = "whole number" if whole else "number"
        raise InvalidInput(f"{name}: {text!r} has what is no {number}.", f"Write it so: {example}") from None
    if len(numbers) not in ((2,) if log else (2, 3)) or not all(map(math.isfinite, numbers)):
        raise InvalidInput(
            f"{name}: {kind} takes the least and the largest value.", f"Write it so: {example}"
        )
    low, high, *steps = numbers
    if low >= high:
        raise InvalidInput(
            f"{name}: {words[0]} is not less than {words[1]}.", f"The least value comes first: {example}"
        )
    if log and low <= 0:
        raise InvalidInput(f"{name}: {words[0]} has no logarithm.", f"Take a least value above 0: {example}")
    if steps and not 0 < steps[0] <= high - low:
        raise InvalidInput(
            f"{name}: a step of {words[2]} does not fit.", f"It is above 0 and at most {high - low:g}."
        )
    return Interval(low, high, steps[0] if steps else None, log, whole)


def _ordered(dimensions: Mapping[str, Dimension]) -> Iterator[Dimension]:
    """Each behind the one that it depends on."""
    placed: set[str] = set()
    left = list(dimensions.values())
    while left:
        ready = [item for item in left if item.condition is None or item.condition.name in placed]
        if not ready:
            raise _unmet(left[0].name, left[0].condition, dimensions)
        for item in ready:
            _check_condition(item, dimensions)
        placed |= {item.name for item in ready}
        left = [item for item in left if item.name not in placed]
        yield from ready


def _unmet(name: str, condition: Condition | None, dimensions: Mapping[str, Dimension]) -> InvalidInput:
    other = condition.name if condition else ""
    if other in dimensions:
        return InvalidInput(
            f"{name} and {other} depend on each other.", "Let one of them be searched always."
        )
    return InvalidInput(
        f"{name} depends on {other}, which is not searched.",
        nearest(other, [known for known in dimensions if known != name], "Searched are")
        if len(dimensions) > 1
        else f"Search {other} too, or leave out the condition.",
    )


def _check_condition(dimension: Dimension, dimensions: Mapping[str, Dimension]) -> None:
    condition = dimension.condition
    if condition is None:
        return
    domain = dimensions[condition.name].domain
    if isinstance(domain, Interval):
        raise InvalidInput(
            f"{dimension.name} depends on {condition.name}, which is a range of numbers.",
            f"Give {condition.name} as choices: {condition.name}=2,4,8",
        )
    for value in condition.values:
        if not domain.has(value):
            raise InvalidInput(
                f"{dimension.name} depends on {condition.name}={value}, which is not among its choices.",
                nearest(value, domain.values, "They are"),
            )


def check(dimensions: Sequence[Dimension], entry_point: EntryPoint, given: Mapping[str, str]) -> None:
    """Raises `InvalidInput` for what the entry point does not take, and for what `given` has already."""
    for dimension in dimensions:
        name = dimension.name
        if name in given:
            raise InvalidInput(
                f"The parameter {name} is both given and searched.", "Leave out one of the two."
            )
        parameter = entry_point.parameter(name)
        if parameter is None:
            if entry_point.takes_any:
                continue
            names = [parameter.name for parameter in entry_point.parameters]
            raise InvalidInput(
                f"There is no parameter {name} to search.",
                nearest(name, names, "The parameters are") if names else "The entry point has no parameters.",
            )
        _check_domain(dimension, parameter)


def _check_domain(dimension: Dimension, parameter: Parameter) -> None:
    domain = dimension.domain
    if isinstance(domain, Choices):
        for value in domain.values:
            check_value(parameter, value)
        return
    if parameter.choices or parameter.type not in ("int", "float"):
        what = f"one of {', '.join(parameter.choices)}" if parameter.choices else f"of type {parameter.type}"
        example = parameter.choices or ("one", "another")
        raise InvalidInput(
            f"{dimension.name} is {what}, and a range of numbers is searched.",
            f"Search choices: {dimension.name}={','.join(example)}",
        )
    if parameter.type == "int" and not domain.whole:
        kind = "logint" if domain.log else "int"
        raise InvalidInput(
            f"{dimension.name} is a whole number, and {domain.text} has others.",
            f"Search whole numbers: {dimension.name}={kind}:{math.ceil(domain.low)},{int(domain.high)}",
        )
    for end in (domain.low, domain.high):
        check_value(parameter, domain.written(end))


def grid(dimensions: Sequence[Dimension]) -> list[dict[str, str]]:
    """Every combination, the last one changing first. Raises `InvalidInput` where a range has no steps."""
    combinations: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for values in itertools.product(*map(_points, dimensions)):
        chosen: dict[str, str] = {}
        for dimension, value in zip(dimensions, values, strict=True):
            if dimension.applies(chosen):
                chosen[dimension.name] = value
        combinations.setdefault(tuple(chosen.items()), chosen)
    return list(combinations.values())


def _points(dimension: Dimension) -> tuple[str, ...]:
    domain = dimension.domain
    if isinstance(domain, Choices) or domain.points:
        return domain.points or ()
    low, high = domain.low, domain.high
    raise InvalidInput(
        f"A grid cannot have {dimension.name}={domain.text}, which has no steps.",
        f"Give it a step, or choices: {dimension.name}={low:.6g},{(low + high) / 2:.6g},{high:.6g}",
    )


def first(dimensions: Sequence[Dimension]) -> dict[str, str]:
    """The lowest value, or the first choice, of each that applies then."""
    values: dict[str, str] = {}
    for dimension in dimensions:
        if dimension.applies(values):
            domain = dimension.domain
            values[dimension.name] = (
                domain.values[0] if isinstance(domain, Choices) else domain.written(domain.low)
            )
    return values
