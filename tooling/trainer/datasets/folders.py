"""What the command line names: a dataset of the workspace, or a folder anywhere."""

from __future__ import annotations

from pathlib import Path

from trainer.datasets.catalog import missing
from trainer.datasets.tables import files
from trainer.errors import InvalidInput, TrainerError
from trainer.projects.mounts import Mount, of_dataset
from trainer.workspace.settings import Workspace, find


def existing(text: str, *, or_table: bool = False) -> Path:
    """The folder of a dataset: a name in the workspace's data/, else a path; a CSV file too, with `or_table`.

    Raises `InvalidInput`.
    """
    workspace = _workspace()
    path = Path(text).expanduser()
    # The last is a folder in a dataset of data/.
    places = [workspace.data / text] if workspace else []
    places = [*places, path] if _is_name(text) else [path, *places]
    for place in places:
        if place.is_dir() or (or_table and files.of(place)):
            return place
    if any(place.exists() for place in places):
        raise InvalidInput(
            f"{text} is a file, not a folder{' or a CSV file' if or_table else ''}.",
            "Specify the folder that has the classes' folders in it"
            + (", or a file that ends in .csv." if or_table else "."),
        )
    if not _is_name(text):
        raise InvalidInput(f"There is no folder {text}.", "Specify a dataset in data/, or a folder.")
    where = f"in {workspace.data} or here" if workspace else "here, and this is no workspace"
    raise InvalidInput(
        f"There is no dataset {text} {where}.",
        missing(workspace, text) if workspace else "Make a workspace (trainer init), or name a folder.",
    )


def new(text: str) -> Path:
    """Where a new dataset goes: in the workspace's data/ for a name, else the path. Nothing is made.

    Raises `InvalidInput` for a name that could not be found again, and for a bare name outside of a
    workspace.
    """
    path = find().data / text if _is_name(text) else Path(text).expanduser()
    if path.name in ("", "..") or path.name.startswith("."):
        raise InvalidInput(
            f"{text!r} cannot be a dataset's name.", "Use a name that does not begin with a dot."
        )
    return path.absolute()


def argument(path: Path) -> str:
    """How a command line names a folder or file: by its name in the workspace's data/, if it is there."""
    return in_data(path) or str(path)


def in_data(path: Path) -> str | None:
    """The name in the workspace's data/, by which a run can be given it; None for what lies elsewhere."""
    workspace = _workspace()
    if workspace is None:
        return None
    # A link in data/ is in data/, wherever it leads.
    for data, place in (
        (workspace.data.absolute(), path.absolute()),
        (workspace.data.resolve(), path.resolve()),
    ):
        if place != data and place.is_relative_to(data):
            return place.relative_to(data).as_posix()
    return None


def mounts(path: Path) -> tuple[Mount, ...]:
    """What a run in a container sees of the folder, if it is a dataset of the workspace."""
    workspace = _workspace()
    if workspace and path.absolute().is_relative_to(workspace.data):
        return of_dataset(workspace.data, str(path.absolute().relative_to(workspace.data)))
    return ()


def _is_name(text: str) -> bool:
    return "/" not in text and text not in ("", ".", "..") and not text.startswith("~")


def _workspace() -> Workspace | None:
    try:
        return find()
    except TrainerError:
        return None
