"""What a new image is to have, as another tool's file says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class LeftOut:
    """What an image does not get of a file."""

    file: Path
    line: int
    what: str


@dataclass(frozen=True)
class Contents:
    """What the file asks for; without a file, nothing."""

    file: Path | None = None
    requirements: tuple[str, ...] = ()
    """As they are written in requirements.txt."""
    apt: tuple[str, ...] = ()
    base_image: str | None = None
    base_line: int = 0
    """Where the file names the base."""
    left_out: tuple[LeftOut, ...] = ()
