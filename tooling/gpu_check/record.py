"""What the check writes down: findings, the section that each is of, and the file that has them all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["measured", "passed", "failed", "no GPU here", "not run"]


@dataclass(frozen=True)
class Finding:
    """One line of the page: a figure with its unit, or what was checked and how that went."""

    what: str
    value: float | str | None = None
    unit: str = ""
    outcome: Outcome = "measured"
    by: str = ""
    """The framework or Keras backend that it is of."""
    said: str = ""
    """How the figure was taken, or why something failed, in a few words."""
    rounds: Sequence[float] = ()
    """Those that the value is the median of."""

    @staticmethod
    def of(payload: Mapping[str, Any]) -> Finding:
        """The finding of a JSON object."""
        return Finding(**{**payload, "rounds": tuple(payload.get("rounds", ()))})


def checked(what: str, passed: bool, said: str = "", by: str = "") -> Finding:
    """The finding of a check."""
    return Finding(what, outcome="passed" if passed else "failed", said=said, by=by)


def no_card(what: str, by: str = "") -> Finding:
    """What takes a card, on a machine without one: that is not passed."""
    return Finding(what, outcome="no GPU here", by=by)


@dataclass(frozen=True)
class Section:
    """What one section found. `ended` is `complete`, or says why there may be less than there could be."""

    name: str
    title: str
    ended: str
    seconds: float
    findings: Sequence[Finding] = ()
    keras_backend: str = ""
    """That Keras was imported with, if it was."""

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody stopped the check while it ran."""
        return self.ended.startswith("interrupted")


@dataclass(frozen=True)
class Record:
    """A whole check, or as much of one as there was time for."""

    begun: str
    small: bool
    minutes: float
    planned: int
    """How many sections it has, had it time for all of them."""
    seconds: float = 0.0
    sections: Sequence[Section] = field(default_factory=tuple)

    @property
    def failures(self) -> list[str]:
        """What did not pass, and the sections that ended by a fault of their own."""
        failed = [finding.what for section in self.sections for finding in section.findings
                 if finding.outcome == "failed"]  # fmt: skip
        return failed + [section.title for section in self.sections if section.ended.startswith("failed")]

    @property
    def summary(self) -> str:
        """How much of it there is, in a sentence."""
        ended = [section.ended.split(":")[0].split(" after")[0] for section in self.sections]
        others = [
            f"{ended.count(end)} {end}"
            for end in ("cut off", "interrupted", "failed", "not run")
            if end in ended
        ]
        complete = f"{ended.count('complete')} of {self.planned} sections complete"
        return f"{', '.join([complete, *others])}. Failures: {len(self.failures)}."

    @property
    def is_complete(self) -> bool:
        """Whether every section ended by itself."""
        return [section.ended for section in self.sections] == ["complete"] * self.planned


def write(record: Record, file: Path) -> None:
    """Whoever kills the check leaves the file of before, or this one."""
    replace(file, json.dumps(asdict(record), indent=2) + "\n")


def replace(file: Path, text: str) -> None:
    """Write a file that is never there by halves."""
    unfinished = file.with_name(f"{file.name}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def read(file: Path) -> Record:
    """The record of that file."""
    payload = json.loads(file.read_text(encoding="utf-8"))
    sections = [
        Section(**{**section, "findings": [Finding.of(finding) for finding in section["findings"]]})
        for section in payload["sections"]
    ]
    return Record(**{**payload, "sections": sections})
