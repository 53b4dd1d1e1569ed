"""The values that a parameter may have in a search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included, with `step` only `low` and what is so far from it."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    @property
    def points(self) -> tuple[str, ...] | None:
        """All of its values, as a run is given them; None where there is no end of them."""
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.written(self.low + index * step) for index in range(count))

    def has(self, text: str) -> bool:
        """Whether it is a value within the bounds."""
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            return False
        return self.low <= value <= self.high

    def written(self, value: float) -> str:
        """A value as a run is given it."""
        return str(round(value)) if self.whole else repr(float(f"{value:.12g}") if self.step else value)

    @property
    def text(self) -> str:
        """As it is written."""
        kind = {(False, False): "uniform", (False, True): "loguniform", (True, False): "int"}.get(
            (self.whole, self.log), "logint"
        )
        numbers = (self.low, self.high) if self.step is None else (self.low, self.high, self.step)
        return f"{kind}:{','.join(f'{number:.15g}' for number in numbers)}"


@dataclass(frozen=True)
class Choices:
    """One of these."""

    values: tuple[str, ...]

    @property
    def points(self) -> tuple[str, ...]:
        """All of them."""
        return self.values

    def has(self, text: str) -> bool:
        """Whether it is one of them."""
        return text in self.values

    @property
    def text(self) -> str:
        """As it is written."""
        return ",".join(self.values)


Domain: TypeAlias = Interval | Choices
