"""A made-up table to try things with: customers, of whom some cancel, with what real tables have in them."""

from __future__ import annotations

import csv
import datetime
import io
import math
import random
from dataclasses import dataclass
from pathlib import Path

from trainer.datasets.build import building
from trainer.datasets.tables.files import SUFFIXES

HEADER = ("customer_id", "signed_up", "city", "age", "plan", "monthly_fee", "support_calls", "satisfaction",
          "currency", "comment", "spent", "churned")  # fmt: skip
_CITIES = ("Berlin", "Bonn", "Hamburg", "Köln", "München")
_LEAVING = {"basic": 0.0, "plus": -0.3, "premium": 0.5}
_FEES = {"basic": 9.9, "plus": 19.9, "premium": 39.9}
_TODAY = datetime.date(2026, 1, 31)
_GOOD = ("Works well", "Happy with it", "Good service, quick answers", "Would recommend it")
_BAD = ("Too expensive", "Waited a week for an answer", "It stops again and again", "Hard to use, sorry")


@dataclass(frozen=True)
class Customers:
    """What to make up: so many rows. A seed gives the same file, and more rows begin with the same ones."""

    rows: int = 1000
    seed: int = 0

    def target(self, path: Path) -> Path:
        """Where the file goes: a name without the ending of a table gets one."""
        return path if path.suffix.lower() in SUFFIXES else path.with_name(f"{path.name}.csv")

    def make(self, path: Path) -> None:
        """Write the file, which must not be there. Raises `InvalidInput`."""
        text = io.StringIO()
        between = "\t" if path.suffix.lower() == ".tsv" else ","
        writer = csv.writer(text, lineterminator="\n", delimiter=between)
        writer.writerow(HEADER)
        writer.writerows(self._row(number) for number in range(1, self.rows + 1))
        building.new_file(path, text.getvalue().encode())

    def _row(self, number: int) -> tuple[object, ...]:
        # Each row has its own random numbers: other counts do not change it.
        chance = random.Random(f"{self.seed}:{number}")  # noqa: S311 (no secret)
        days = chance.randrange(30, 2500)
        plan = chance.choices(list(_FEES), weights=(5, 3, 2))[0]
        age = min(90, max(18, round(chance.gauss(45, 15))))
        calls = min(9, int(chance.expovariate(0.7)))
        satisfaction = max(1, min(5, round(chance.gauss(4 - 0.35 * calls, 0.9))))
        # What makes customers cancel: calls, discontent, and the first year.
        score = 0.9 * calls - 1.1 * (satisfaction - 3) - days / 900 + _LEAVING[plan]
        churned = chance.random() < 1 / (1 + math.exp(-1.5 * score))
        fee = round(_FEES[plan] * chance.choice((1, 1, 1, 0.9)), 2)
        comment = f"{chance.choice(_BAD if satisfaction < 3 else _GOOD)} ({days} days)"
        return (
            f"C{number:05}",
            _TODAY - datetime.timedelta(days=days),
            "" if chance.random() < 0.06 else chance.choice(_CITIES),
            "" if chance.random() < 0.08 else age,
            plan,
            f"{fee:.2f}",
            calls,
            "" if chance.random() < 0.15 else satisfaction,
            "EUR",
            "" if chance.random() < 0.5 else comment,
            f"{max(fee, fee * days / 30 + chance.gauss(0, 25) + 12 * calls):.2f}",
            "yes" if churned else "no",
        )
