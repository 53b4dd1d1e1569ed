"""reports/: what commands draw for people to look at. It can be made again, so git is to ignore it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.workspace.settings import Workspace


@contextmanager
def folder(workspace: Workspace) -> Iterator[Path]:
    """Where to draw; whoever draws makes it. It then gets a .gitignore, unless it was there before."""
    place = workspace.root / "reports"
    is_there = place.exists()
    try:
        yield place
    finally:
        if not is_there and place.is_dir():
            (place / ".gitignore").write_text("*\n")
