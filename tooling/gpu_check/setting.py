"""What a section is told of the check that it is part of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """`folder` is the section's own, empty at its start; `environment` is where the wheels were installed.

    A section is killed at `until`, a time of the monotonic clock. `project` is the one that it is about.
    """

    folder: str
    environment: str
    card: bool
    small: bool
    until: float = 0.0
    project: str = ""

    def as_text(self) -> str:
        """For `of`."""
        return json.dumps(asdict(self))

    @staticmethod
    def of(text: str) -> Setting:
        """The setting that `as_text` wrote."""
        return Setting(**json.loads(text))

    @property
    def place(self) -> Path:
        """The folder as a path."""
        return Path(self.folder)
