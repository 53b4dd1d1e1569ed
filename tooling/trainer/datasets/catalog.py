"""What is in data/ by name, and the check that a parameter names something of it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from trainer.counted import counted
from trainer.datasets.tables.files import SUFFIXES
from trainer.errors import InvalidInput
from trainer.projects.parameters import Parameter, nearest
from trainer.workspace.settings import Workspace

# data/NAME.manifest.json, which `trainer data snapshot` writes, is no dataset.
MANIFEST = ".manifest.json"


def check(workspace: Workspace, parameter: Parameter, value: str) -> None:
    """Raises `InvalidInput` for a name that data/ does not have; the value is none of the choices."""
    if "://" in value:
        return
    if not value or Path(value).is_absolute() or ".." in Path(value).parts:
        raise InvalidInput(
            f"{parameter.option} is {value!r}, which is not the name of a dataset.",
            f"Specify a file or folder in {workspace.data}.",
        )
    if parameter.choices and not (workspace.data / value).exists():
        others = [*parameter.choices, *datasets(workspace)]
        raise InvalidInput(
            f"{parameter.option} is {value!r}, which is neither one of its choices nor in {workspace.data}.",
            as_in_manifest(workspace, value)
            or nearest(value, others, "There are") + (_made_up(value) if value == parameter.default else ""),
        )
    if not (workspace.data / value).exists():
        raise InvalidInput(
            f"{parameter.option} names {value}, which is not in {workspace.data}.",
            missing(workspace, value),
        )
    try:
        path = workspace.data / value
        is_empty = path.is_dir() and next(os.scandir(path), None) is None
        if path.is_file():
            path.open("rb").close()
    except OSError as error:
        raise InvalidInput(
            f"{parameter.option} names {path}, which cannot be read: {error.strerror}.",
            f"Let the user that runs trainer read it: chmod -R u+rX {shlex.quote(str(path))}",
        ) from None
    if is_empty:
        raise InvalidInput(f"{parameter.option} names {path}, which is empty.", "Put the dataset there.")


def missing(workspace: Workspace, name: str) -> str:
    """What to do where data/ has no `name`. Never to make it up: it may be the name of real data."""
    if known := as_in_manifest(workspace, name):
        return known
    datasets_here = datasets(workspace)
    if datasets_here:
        return nearest(name, datasets_here, "There are")
    sample = "--table demo.csv" if Path(name).suffix.lower() in SUFFIXES else "demo"
    return f"Put it there; or make up one to try with: trainer data sample {sample}"


def _made_up(default: str) -> str:
    """How a project's default dataset is made up, where it can be an image folder or a table."""
    suffix = Path(default).suffix.lower()
    if suffix and suffix not in SUFFIXES:
        return ""
    option = "--table " if suffix else ""
    return f" Or make up one to try with: trainer data sample {option}{shlex.quote(default)}"


def as_in_manifest(workspace: Workspace, name: str) -> str | None:
    """What to do where the manifest is there and the data is not, as in a clone; None without a manifest."""
    from trainer.datasets import manifest

    known = manifest.read(workspace.data / f"{name}{MANIFEST}", name)
    if known.last is None:
        return None
    of = f"{counted(known.last.files, 'file')} with digest {known.last.digest[:8]}"
    verify = f"`trainer data verify {shlex.quote(name)}` compares them."
    if known.source:
        return f"Its manifest ({of}) says where they are: {known.source}. Copy them to data/{name}; {verify}"
    return f"Its manifest has {of}, and no source. Copy them to data/{name} from where they are; {verify}"


def datasets(workspace: Workspace) -> list[str]:
    """The names in data/ that a dataset may have, sorted."""
    if not workspace.data.is_dir():
        return []
    ours = ("README.md",)
    names = (path.name for path in workspace.data.iterdir() if path.name not in ours)
    return sorted(name for name in names if name[0] != "." and not name.endswith(MANIFEST))
