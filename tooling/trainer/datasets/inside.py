"""Keeping to a data set: a link may lead out of it, to files that are none of its own."""

from __future__ import annotations

from pathlib import Path

from trainer.errors import BadInput


def check(root: Path, path: Path) -> None:
    """Raises `BadInput` where `path`, below `root` by its name, is outside of it on the disk."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise BadInput(
            f"{path} leads out of {root} by a link, to {path.resolve()}.",
            "Put the files themselves in the place of the link, or name the folder that it leads to.",
        )
