"""What a new project can be started from. Cheap to import: the command line lists the names."""

from __future__ import annotations

from pathlib import Path

from trainer.errors import InvalidInput
from trainer.projects.mlproject import PROJECT_FILE
from trainer.projects.parameters import nearest
from trainer.workspace import resources

FOLDER = resources.place("templates")


def names() -> list[str]:
    """The names of the templates."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{PROJECT_FILE}"))


def place(name: str) -> Path:
    """The folder of that template; raises `InvalidInput` with the nearest name."""
    if name not in names():
        raise InvalidInput(f"There is no template {name}.", nearest(name, names(), "The templates are"))
    return FOLDER / name
