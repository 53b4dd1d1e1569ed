"""Parameters in a file: YAML or JSON, a name and a value each."""

from __future__ import annotations

from pathlib import Path

from trainer import yaml_file
from trainer.errors import InvalidInput


def read(path: Path) -> dict[str, str]:
    """The parameters, as a run is given them. Raises `InvalidInput` for what is no such file."""
    document = yaml_file.read(path)
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} holds no parameters.", "Write a line for each: name: value")
    return {
        yaml_file.name(path, "a parameter", name): _text(path, name, value)
        for name, value in document.items()
    }


def _text(path: Path, name: object, value: object) -> str:
    if (text := yaml_file.scalar(value)) is not None:
        return text
    raise InvalidInput(f"{path}: the parameter {name} has no single value.", f"Write it so: {name}: value")
