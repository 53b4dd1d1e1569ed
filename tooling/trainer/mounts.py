"""What a run sees of the host's files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Mount:
    """A host folder or file (`bind`) or a named volume, as the run sees it."""

    source: str
    target: str
    read_only: bool = True
    kind: Literal["bind", "volume"] = "bind"
    optional: bool = False
    """Whether a run can do without it, where the engine is on another machine."""
