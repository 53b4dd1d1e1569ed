"""What a check of a dataset came to, whatever the dataset is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from trainer.datasets.findings import Severity


class FindingKind(Protocol):
    """A kind of finding: printed, it is its own name."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""

    @property
    def fix(self) -> str:
        """What to do about it, in which DIR stands for the dataset; nothing for what needs no fix."""


class Finding(Protocol):
    """One thing that was found."""

    @property
    def kind(self) -> FindingKind:
        """What it is."""

    def line(self, most: int | None = None) -> str:
        """One line; of many equal things it names `most`."""

    def as_json(self) -> dict[str, object]:
        """For `--json`."""


F = TypeVar("F", bound=Finding)


@dataclass(frozen=True)
class Verdict(Generic[F]):
    """All that was found, the worst first. `subject` is what was looked at, in words: `40 images`."""

    root: Path
    subject: str
    size: Mapping[str, int]
    """The same in numbers, for `--json`."""
    findings: tuple[F, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are as bad as that."""
        return sum(finding.kind.severity is severity for finding in self.findings)

    def by_kind(self) -> dict[FindingKind, list[F]]:
        """The findings of each kind that there are any of, the worst kinds first."""
        kinds: defaultdict[FindingKind, list[F]] = defaultdict(list)
        for finding in self.findings:
            kinds[finding.kind].append(finding)
        return kinds

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "path": str(self.root),
            **self.size,
            **{f"{severity}s": self.count(severity) for severity in Severity},
            "findings": [finding.as_json() for finding in self.findings],
        }
